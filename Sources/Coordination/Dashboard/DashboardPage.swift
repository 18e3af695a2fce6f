// swift-format-ignore-file
// Written by Scripts/dashboard-embed.sh from the files in Page/. Change those.

/// The parts of the page, in the order in which they stand in it.
enum DashboardPage {
  static let head = #"""
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Lifeline</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 8h4l2-5 2 10 2-5h4' fill='none' stroke='%230b7a6b' stroke-width='2' stroke-linejoin='round' stroke-linecap='round'/%3E%3C/svg%3E">
<style>
"""#
  static let style = #"""
/* One palette for both themes: each colour is light-dark(on paper, on slate). Hues carry state only, never alone. */
:root {
  color-scheme: light dark;
  --ground: light-dark(#f4f5f6, #0e1216);
  --surface: light-dark(#ffffff, #161b21);
  --raised: light-dark(#ffffff, #1d242b);
  --sunken: light-dark(#f7f8f9, #12171c);
  --line: light-dark(#e2e5e8, #262e36);
  --edge: light-dark(#7d8791, #707c88);
  --text: light-dark(#15202b, #e4e9ee);
  --soft: light-dark(#55616d, #9ba7b3);
  --accent: light-dark(#0b6b5e, #56c7b3);
  --accent-wash: light-dark(#e3f1ee, #14312d);
  --accent-text: light-dark(#ffffff, #07211c);
  --good: light-dark(#0b6b5e, #56c7b3);
  --calm: light-dark(#5b9d92, #3f8b7e);
  --busy: light-dark(#1f5ea8, #85b8f2);
  --warn: light-dark(#855200, #e5b356);
  --bad: light-dark(#b3261e, #ff938a);
  --bad-wash: light-dark(#fcecea, #3a1a18);
  --warn-wash: light-dark(#fbf1dd, #33270f);
  --select: light-dark(#eaf3f1, #182823);
  --shadow: light-dark(rgb(16 24 32 / 14%), rgb(0 0 0 / 55%));

  --sans: "Inter", system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", "JetBrains Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  /* A scale of 1.2 around 13 px; the figures of the overview stand out by size alone. */
  --t-small: 0.6875rem;
  --t-body: 0.8125rem;
  --t-head: 0.9375rem;
  --t-figure: 1.625rem;
  --gap: 12px;
  --row: 2.125rem;
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }

* { box-sizing: border-box; }
html { height: 100%; font-size: 100%; }
body {
  margin: 0; min-height: 100%; display: flex; flex-direction: column;
  background: var(--ground); color: var(--text);
  font: 400 var(--t-body)/1.4 var(--sans); font-variant-numeric: tabular-nums;
  -webkit-text-size-adjust: 100%;
}
h1, h2, h3, p, dl, dd, table, pre { margin: 0; padding: 0; }
h2 { font-size: var(--t-head); font-weight: 600; letter-spacing: -0.005em; line-height: 1.3; }
h3 { font-size: var(--t-body); font-weight: 600; }
code, pre, .id { font-family: var(--mono); font-size: 0.92em; font-variant-ligatures: none; }
[hidden] { display: none !important; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.number { text-align: right; }
.skip { position: absolute; left: var(--gap); top: -60px; z-index: 30; padding: 8px 12px; background: var(--accent); color: var(--accent-text); border-radius: 4px; }
.skip:focus { top: 8px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }

/* Controls */
button, input, select { font: inherit; color: inherit; accent-color: var(--accent); }
button {
  min-height: 30px; padding: 3px 11px; border: 1px solid var(--edge); border-radius: 5px; background: var(--raised);
  cursor: pointer; white-space: nowrap;
}
button:hover { background: var(--sunken); border-color: var(--text); }
button:disabled { opacity: 0.55; cursor: default; }
button.quiet { border-color: transparent; background: none; color: var(--soft); padding: 3px 8px; }
button.quiet:hover { color: var(--text); background: var(--line); }
button.strong { background: var(--accent); border-color: var(--accent); color: var(--accent-text); font-weight: 600; }
button.strong:hover { filter: brightness(1.08); }
button.danger { background: var(--bad-wash); border-color: var(--bad); color: var(--bad); font-weight: 600; }
.field input, .field select {
  height: 30px; padding: 0 9px; border: 1px solid var(--edge); border-radius: 5px; background: var(--raised); width: 100%; min-width: 0;
}
.field input::placeholder { color: var(--soft); opacity: 1; }
.field.tall { display: grid; gap: 4px; font-weight: 600; }
.field.tall input { height: 38px; font-family: var(--mono); }

/* The bar */
.bar {
  display: flex; align-items: center; gap: 4px 14px; padding: 7px 18px; background: var(--surface); border-bottom: 1px solid var(--line);
}
.mark { display: flex; align-items: center; gap: 9px; font-size: var(--t-head); font-weight: 650; letter-spacing: -0.01em; }
.mark path { fill: none; stroke: var(--accent); stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
.link { display: flex; align-items: center; gap: 7px; color: var(--soft); white-space: nowrap; }
.link-mark { width: 9px; height: 9px; border-radius: 50%; border: 2px solid var(--soft); }
.link[data-link="live"] .link-mark { background: var(--good); border-color: var(--good); }
.link[data-link="lost"] { color: var(--bad); font-weight: 600; }
.link[data-link="lost"] .link-mark { border-radius: 0; border-color: var(--bad); background: none; transform: rotate(45deg); }
.about { margin-left: auto; color: var(--soft); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.notice { padding: 8px 18px; background: var(--bad-wash); color: var(--bad); font-weight: 600; border-bottom: 1px solid var(--bad); }

/* The page */
main { flex: 1; display: flex; flex-direction: column; gap: var(--gap); padding: var(--gap) 18px 18px; min-height: 0; min-width: 0; }
.panel { contain: layout style; background: var(--surface); border: 1px solid var(--line); border-radius: 8px; min-width: 0; }
.panel > header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 6px 10px; padding: 10px 14px 8px; }
.now { color: var(--soft); }
.now b { color: var(--text); font-weight: 600; }

.figures dl { display: grid; grid-template-columns: repeat(7, minmax(0, 1fr)); background: var(--surface); border: 1px solid var(--line); border-radius: 8px; }
.figure { display: flex; flex-direction: column; padding: 11px 14px 10px; border-left: 1px solid var(--line); min-width: 0; }
.figure:first-child { border-left: 0; }
.figure dt { color: var(--soft); font-weight: 500; white-space: nowrap; }
.figure dd { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.figure .value { font-size: var(--t-figure); font-weight: 600; letter-spacing: -0.025em; line-height: 1.2; }
.figure .value small { font-size: 0.58em; font-weight: 500; letter-spacing: 0; color: var(--soft); }
.figure .hint { color: var(--soft); font-size: var(--t-small); min-height: 1.4em; }
.figure[data-tone="bad"] .hint { color: var(--bad); }
.figure[data-tone="warn"] .hint { color: var(--warn); }

.charts { display: grid; grid-template-columns: minmax(0, 1.25fr) minmax(0, 1.25fr) minmax(0, 1fr); gap: var(--gap); }
.plot { padding: 0 14px 8px; height: 148px; }
.plot svg { display: block; width: 100%; height: 100%; overflow: visible; }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot .base { stroke: var(--edge); stroke-width: 1; }
.plot .area { fill: var(--accent); opacity: 0.13; }
.plot .main { fill: none; stroke: var(--accent); stroke-width: 1.75; stroke-linejoin: round; }
.plot .second { fill: none; stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 4 3; stroke-linejoin: round; }
.plot text { fill: var(--soft); font-size: 11px; font-family: var(--sans); font-variant-numeric: tabular-nums; }
.key-main, .key-second { display: inline-block; width: 14px; height: 0; border-top: 2px solid var(--accent); vertical-align: middle; margin-right: 5px; }
.key-second { border-top: 2px dashed var(--bad); }

.queue { width: 100%; border-collapse: collapse; margin-bottom: 8px; }
.queue th, .queue td { padding: 3.5px 14px 3.5px 0; font-weight: 400; text-align: left; }
.queue th:first-child { padding-left: 14px; }
.queue thead th { color: var(--soft); font-size: var(--t-small); font-weight: 500; padding-top: 0; }
.queue .number { text-align: right; width: 1%; white-space: nowrap; }
.queue .track { width: 42%; }
.meter { display: block; height: 6px; border-radius: 3px; background: var(--line); overflow: hidden; }
.meter i { display: block; height: 100%; width: 100%; background: var(--busy); transform-origin: left; transform: scaleX(0); }
.queue tr[data-none] td, .queue tr[data-none] th { color: var(--soft); }

/* Lists: a window of rows of one height inside a scrolling box. */
.lists { flex: 1 0 440px; display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); gap: var(--gap); }
.list-panel { display: flex; flex-direction: column; min-height: 0; overflow: hidden; scroll-margin: 8px; }
.list-panel > header { border-bottom: 1px solid var(--line); }
.filters { display: flex; gap: 8px; margin-left: auto; min-width: 0; align-self: center; }
.filters .field { min-width: 0; flex: 0 1 172px; }
.filters .field:last-child { flex-basis: 138px; }
.chips { display: flex; gap: 4px; flex-basis: 100%; overflow-x: auto; scrollbar-width: none; margin: 0 -4px; padding: 3px 4px; }
.chips button { border-color: transparent; background: none; padding: 2px 9px; min-height: 26px; color: var(--soft); border-radius: 13px; flex: none; }
.chips button:hover { background: var(--line); color: var(--text); }
.chips button[aria-pressed="true"] { background: var(--accent-wash); color: var(--accent); border-color: var(--accent); font-weight: 600; }
.list { flex: 1 1 0; min-height: 0; overflow: auto; position: relative; overscroll-behavior: contain; scrollbar-width: thin; }
.list table { display: block; position: relative; width: 100%; }
.list thead { display: block; position: sticky; top: 0; z-index: 2; background: var(--surface); border-bottom: 1px solid var(--line); }
.list tbody { display: block; position: relative; }
.list tr { display: grid; align-items: center; column-gap: 12px; padding: 0 14px; }
.list th, .list td { display: block; min-width: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; text-align: left; font-weight: 400; padding: 0; }
.list thead tr { height: 28px; }
.list thead th { color: var(--soft); font-size: var(--t-small); font-weight: 500; }
.list tbody tr { position: absolute; left: 0; right: 0; contain: layout style; height: var(--row); border-bottom: 1px solid var(--line); }
.list tbody tr:hover { background: var(--sunken); }
.list tbody tr.chosen { background: var(--select); box-shadow: inset 3px 0 0 var(--accent); }
.list .number { text-align: right; }
.list .empty { padding: 36px 18px; text-align: center; color: var(--soft); }
.list .dim, .dim { color: var(--soft); }
.open { border: 0; background: none; padding: 0; min-height: 0; font: inherit; text-align: left; max-width: 100%; overflow: hidden; text-overflow: ellipsis; display: block; }
.open:hover { background: none; text-decoration: underline; text-underline-offset: 3px; }
.open:focus-visible { outline-offset: -2px; }
.list td:has(> .open), .list th:has(> .open) { padding: 4px; margin: 0 -4px; }
#worker-list tr { grid-template-columns: minmax(5.25rem, 1.1fr) minmax(5rem, 1.6fr) 2rem 4rem 4rem minmax(0, 2fr) 3.5rem; }
#task-list tr { grid-template-columns: 6rem minmax(7.5rem, 3fr) minmax(4rem, 1.2fr) minmax(3.5rem, 0.9fr) 1.75rem 5.5rem 3.75rem; }
#worker-list td:last-child { overflow: visible; text-align: right; }
#worker-list td:last-child button { min-height: 24px; padding: 0 8px; font-size: var(--t-small); border-color: var(--line); }
#worker-list td:last-child button:hover:enabled { border-color: var(--edge); }
.strip { display: block; width: 100%; height: 16px; }
.strip .on { fill: var(--calm); }
.strip .off { fill: var(--bad); }
.strip .leaving { fill: var(--warn); }
.strip .unknown { fill: var(--line); }
.load { display: flex; align-items: center; gap: 7px; }
.load .meter { flex: 1; min-width: 18px; height: 5px; }

/* States: a glyph of its own shape, and the word. */
.state { display: inline-flex; align-items: center; gap: 6px; white-space: nowrap; }
.state svg { width: 12px; height: 12px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.state svg .solid { fill: currentColor; stroke: none; }
.tone-good svg { color: var(--good); } .tone-busy svg { color: var(--busy); } .tone-warn svg { color: var(--warn); }
.tone-bad, .tone-bad svg { color: var(--bad); } .tone-soft, .tone-soft svg { color: var(--soft); }

/* One task */
.detail {
  position: fixed; z-index: 10; top: 0; right: 0; bottom: 0; width: min(620px, 100vw); background: var(--surface); border-left: 1px solid var(--line);
  box-shadow: -12px 0 36px var(--shadow); display: flex; flex-direction: column; overflow: auto; overscroll-behavior: contain;
}
.detail > header { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 2px 12px; padding: 14px 18px 12px; position: sticky; top: 0; background: var(--surface); border-bottom: 1px solid var(--line); z-index: 1; }
.detail h2 { overflow-wrap: anywhere; }
.detail h2:focus-visible { outline: none; }
.detail .id { color: var(--soft); overflow-wrap: anywhere; }
.detail .buttons { grid-column: 1 / -1; margin-top: 8px; }
.buttons { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.detail section { padding: 12px 18px; border-bottom: 1px solid var(--line); }
.detail h3 { margin-bottom: 6px; display: flex; gap: 8px; align-items: baseline; }
.detail h3 small { font-weight: 400; font-size: var(--t-body); color: var(--soft); }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr) max-content minmax(0, 1fr); gap: 4px 14px; }
.facts dt { color: var(--soft); }
.facts dd { overflow-wrap: anywhere; }
.facts .first { grid-column: 1; }
.facts .wide { grid-column: 2 / -1; }
.history { width: 100%; border-collapse: collapse; }
.history th, .history td { text-align: left; font-weight: 400; padding: 4px 12px 4px 0; border-top: 1px solid var(--line); vertical-align: top; }
.history thead th { border: 0; color: var(--soft); font-size: var(--t-small); font-weight: 500; padding-top: 0; }
.history td:last-child { padding-right: 0; overflow-wrap: anywhere; }
.history .why { color: var(--soft); }
.history code { white-space: pre-wrap; overflow-wrap: anywhere; display: block; max-height: 5.6em; overflow: auto; }
.scroller { overflow-x: auto; }
.detail .logs { flex: 1; display: flex; flex-direction: column; border-bottom: 0; min-height: 260px; }
.logs-bar { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-bottom: 8px; }
.logs-bar .chips { flex-basis: auto; }
.logs-bar label { display: flex; gap: 6px; align-items: center; margin-left: auto; min-height: 26px; }
.log { flex: 1; min-height: 180px; max-height: 62vh; overflow: auto; background: var(--sunken); border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5; }

/* Words from the page */
.toasts { position: fixed; z-index: 25; left: 18px; bottom: 18px; display: grid; gap: 8px; max-width: min(440px, calc(100vw - 36px)); }
.toast { background: var(--raised); border: 1px solid var(--edge); border-left: 4px solid var(--good); border-radius: 6px; padding: 9px 8px 9px 12px; box-shadow: 0 6px 22px var(--shadow); display: flex; gap: 10px; align-items: start; overflow-wrap: anywhere; }
.toast.failed { border-left-color: var(--bad); }
.toast b { font-weight: 600; }
.toast p { flex: 1; min-width: 0; padding-top: 3px; }
dialog { border: 1px solid var(--edge); border-radius: 10px; padding: 20px 22px; background: var(--raised); color: var(--text); max-width: min(460px, calc(100vw - 32px)); box-shadow: 0 18px 60px var(--shadow); }
dialog::backdrop { background: rgb(8 12 16 / 45%); }
dialog form { display: grid; gap: 12px; }
dialog p { overflow-wrap: anywhere; }
dialog .buttons { justify-content: flex-end; margin-top: 4px; }
dialog button { min-height: 34px; padding: 4px 14px; }
.problem { color: var(--bad); font-weight: 600; }

/* A wall screen is read from afar: everything a size larger, and the lists side by side with more room. */
@media (min-width: 1800px) {
  html { font-size: 112.5%; }
  :root { --gap: 14px; }
  .plot { height: 184px; }
  .queue th, .queue td { padding-top: 6px; padding-bottom: 6px; }
}
@media (max-width: 1180px) {
  .lists { flex: none; grid-template-columns: minmax(0, 1fr); }
  .list-panel { height: min(620px, 82vh); }
  .charts { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .charts .panel:last-child { grid-column: 1 / -1; }
  .figure { padding-left: 12px; padding-right: 8px; }
}
@media (max-width: 940px) {
  .figures dl { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .figure:nth-child(n + 5) { border-top: 1px solid var(--line); }
  .figure:nth-child(5) { border-left: 0; }
  .figure:last-child { grid-column: span 2; }
}
/* A phone: two lines a row, the columns' names left to screen readers. */
@media (max-width: 640px) {
  :root { --row: 3.625rem; --t-figure: 1.375rem; }
  main { padding: 10px 10px 16px; --gap: 10px; }
  .bar { padding: 6px 10px; flex-wrap: wrap; }
  .about { order: 5; flex-basis: 100%; margin: 0; }
  #theme-button { margin-left: auto; }
  .charts { grid-template-columns: minmax(0, 1fr); }
  .charts .panel:last-child { grid-column: auto; }
  .figures dl { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .figure { border-top: 1px solid var(--line); padding: 8px 12px 6px; }
  .figure:nth-child(-n + 2) { border-top: 0; }
  .figure:nth-child(odd) { border-left: 0; }
  .figure:last-child { grid-column: 1 / -1; }
  button, .field input, .field select { min-height: 38px; }
  .chips button { min-height: 34px; }
  .filters { margin: 0; flex-basis: 100%; }
  .filters .field { flex: 1 1 0; }
  .filters .field:last-child { flex-basis: 0; }
  .list thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .list tbody tr { align-content: center; row-gap: 1px; column-gap: 10px; }
  #task-list tr { grid-template: "name name state" auto "run worker time" auto / minmax(0, 1.5fr) minmax(0, 1fr) auto; }
  #task-list tr > :nth-child(1) { grid-area: state; }
  #task-list tr > :nth-child(2) { grid-area: name; }
  #task-list tr > :nth-child(3) { grid-area: run; color: var(--soft); }
  #task-list tr > :nth-child(4) { grid-area: worker; color: var(--soft); }
  #task-list tr > :nth-child(5), #task-list tr > :nth-child(6) { position: absolute; width: 1px; height: 1px; clip-path: inset(50%); }
  #task-list tr > :nth-child(7) { grid-area: time; color: var(--soft); }
  #worker-list tr { grid-template: "name strip drain" auto "load rtt drain" auto / minmax(0, 1.2fr) minmax(0, 1.4fr) auto; }
  #worker-list tr > :nth-child(1) { grid-area: name; }
  #worker-list tr > :nth-child(2) { grid-area: strip; }
  #worker-list tr > :nth-child(3), #worker-list tr > :nth-child(6) { position: absolute; width: 1px; height: 1px; clip-path: inset(50%); }
  #worker-list tr > :nth-child(4) { grid-area: rtt; text-align: left; color: var(--soft); }
  #worker-list tr > :nth-child(5) { grid-area: load; }
  #worker-list tr > :nth-child(7) { grid-area: drain; }
  #worker-list td:last-child button { min-height: 38px; }
  .facts { grid-template-columns: max-content minmax(0, 1fr); }
  .detail { border-left: 0; }
}
@media (prefers-reduced-motion: no-preference) {
  .detail:not([hidden]) { animation: slide 140ms ease-out; }
  .toast { animation: rise 140ms ease-out; }
  .meter i { transition: transform 240ms ease-out; }
}
@keyframes slide { from { transform: translateX(16px); opacity: 0.4; } }
@keyframes rise { from { transform: translateY(8px); opacity: 0; } }
@media (forced-colors: active) {
  .strip .on, .strip .off, .strip .leaving, .meter i { forced-color-adjust: none; }
}
"""#
  static let middle = #"""
</style>
</head>
<body>
<a class="skip" href="#tasks">Skip to the tasks</a>
<header class="bar">
  <h1 class="mark">
    <svg viewBox="0 0 24 16" width="24" height="16" aria-hidden="true"><path d="M1 8h6l3-6.5 4 13L17 8h6"/></svg>
    Lifeline
  </h1>
  <p class="link" id="link" data-link="connecting"><span class="link-mark" aria-hidden="true"></span><span id="link-text">Connecting</span></p>
  <p class="about" id="about"></p>
  <button type="button" class="quiet" id="key-button" hidden>Forget key</button>
  <button type="button" class="quiet" id="theme-button">Theme: system</button>
</header>
<p class="notice" id="notice" role="alert" hidden></p>
<main>
  <section class="figures" aria-label="Overview">
    <dl id="figures"></dl>
  </section>
  <div class="charts">
    <section class="panel" aria-labelledby="throughput-title">
      <header><h2 id="throughput-title">Throughput</h2><p class="now" id="throughput-now"></p></header>
      <div class="plot" id="throughput-plot"></div>
    </section>
    <section class="panel" aria-labelledby="rtt-title">
      <header><h2 id="rtt-title">Round trip</h2><p class="now" id="rtt-now"></p></header>
      <div class="plot" id="rtt-plot"></div>
    </section>
    <section class="panel" aria-labelledby="queue-title">
      <header><h2 id="queue-title">Queue</h2><p class="now" id="queue-now"></p></header>
      <table class="queue" id="queue" aria-labelledby="queue-title">
        <thead><tr><th scope="col">Priority</th><th scope="col" class="number">Waiting</th><td></td><th scope="col" class="number">Oldest</th></tr></thead>
        <tbody></tbody>
      </table>
    </section>
  </div>
  <div class="lists">
    <section class="panel list-panel" id="workers" aria-labelledby="workers-title">
      <header>
        <h2 id="workers-title">Workers</h2><p class="now" id="workers-now"></p>
        <div class="filters">
          <label class="field"><span class="unseen">Find a worker</span><input type="search" id="worker-text" placeholder="Find a worker" autocomplete="off" spellcheck="false"></label>
          <label class="field"><span class="unseen">Order of the workers</span><select id="worker-order"><option value="trouble">Trouble first</option><option value="name">By name</option><option value="rtt">By round trip</option><option value="busy">By load</option></select></label>
        </div>
      </header>
      <div class="list" id="worker-list"></div>
    </section>
    <section class="panel list-panel" id="tasks" tabindex="-1" aria-labelledby="tasks-title">
      <header>
        <h2 id="tasks-title">Tasks</h2><p class="now" id="tasks-now"></p>
        <div class="filters">
          <label class="field"><span class="unseen">Find a task</span><input type="search" id="task-text" placeholder="Find a task" autocomplete="off" spellcheck="false"></label>
          <label class="field"><span class="unseen">Run</span><select id="task-run"><option value="">All runs</option></select></label>
        </div>
        <div class="chips" id="task-status" role="group" aria-label="Status"></div>
      </header>
      <div class="list" id="task-list"></div>
    </section>
  </div>
</main>
<aside class="detail" id="detail" aria-labelledby="detail-title" hidden></aside>
<div class="toasts" id="toasts"></div>
<p class="unseen" id="announcer" aria-live="polite"></p>
<dialog id="confirm" aria-labelledby="confirm-title" aria-describedby="confirm-text">
  <form method="dialog">
    <h2 id="confirm-title"></h2>
    <p id="confirm-text"></p>
    <div class="buttons"><button type="button" value="no" id="confirm-no"></button><button type="button" class="strong" id="confirm-yes"></button></div>
  </form>
</dialog>
<dialog id="key" aria-labelledby="key-title">
  <form method="dialog" id="key-form">
    <h2 id="key-title">This coordinator asks for a key</h2>
    <p id="key-text">A <code>read-only</code> key sees everything here; a <code>submitter</code> key also cancels, pauses, resumes and retries; an <code>admin</code> key also drains workers. It is kept until this tab is closed.</p>
    <label class="field tall"><span>Key</span><input type="password" id="key-input" autocomplete="off" spellcheck="false" required></label>
    <p class="problem" id="key-problem" role="alert" hidden></p>
    <div class="buttons"><button type="submit" class="strong">Use key</button></div>
  </form>
</dialog>
<noscript><p class="notice">This page needs JavaScript. Without it: <code>lifeline tasks</code> and <code>lifeline workers</code>.</p></noscript>
<script>
"""#
  static let script = #"""
"use strict";
(() => {
// What the other parts share: bounds, elements, words for numbers and times.

const LIMITS = {
  tasks: 20_000, // kept; ended ones that nobody looks at go first
  page: 1_000, // tasks in one answer
  windowsMs: [120_000, 300_000, 600_000], // what the plots and strips look back on, by how long the coordinator has been up
  logCharacters: 400_000, // of a task's output; the oldest goes
  runs: 200, // offered to choose from
  spans: 200, // of one worker's strip
  toasts: 4,
  renderEveryMs: 250,
  checkpointBytes: 4_000, // shown as it is
  lookAgainMs: 3_000, // at a task that is shown and runs
  silenceMs: 12_000, // the coordinator says something each second; after this the line counts as dead
  retryMs: { first: 500, last: 15_000 },
  statistics: 2_000, // updates whose durations are kept
};

const $ = id => document.getElementById(id);

// An element with attributes and children. Strings become text, never markup.
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter(child => child != null));
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Writing what is there already would cost a layout.
function setText(node, text) {
  if (node.shownText !== text) { node.shownText = text; node.textContent = text; }
}

function setAttribute(node, name, value) {
  if (value === null || value === false) { if (node.hasAttribute(name)) node.removeAttribute(name); return; }
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const number = value => whole.format(value ?? 0);
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
const clockTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayTime = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' });

function rate(perSecond) {
  return perSecond >= 100 ? number(perSecond) : perSecond >= 9.95 ? perSecond.toFixed(0) : perSecond.toFixed(1);
}

// A duration in the unit that a person would say it in.
function duration(ms) {
  if (ms == null || Number.isNaN(ms)) return '–';
  if (ms < 0) ms = 0;
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} days`;
}

// The same in few characters, for columns.
function shortDuration(ms) {
  if (ms == null || Number.isNaN(ms)) return '–';
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60}`;
}

const milliseconds = iso => (iso ? Date.parse(iso) : null);

function median(sorted) { return sorted.length ? sorted[sorted.length >> 1] : null; }

// Each state has a shape of its own, so that it is told without colour.
const GLYPHS = {
  running: ['busy', '<M3 2l7.5 4L3 10z'], assigned: ['busy', 'M3 2l7.5 4L3 10z'], paused: ['warn', 'M4 2v8M8 2v8'],
  queued: ['soft', 'M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9M6 3.6V6l1.6 1.2'], completed: ['good', 'M1.8 6.4l2.8 2.8L10.2 3'],
  failed: ['bad', 'M2.2 2.2l7.6 7.6M9.8 2.2L2.2 9.8'], cancelled: ['soft', 'M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9M2.9 9.1l6.2-6.2'],
  lost: ['bad', 'M6 1.2L11 10H1zM6 4.6v2.2'], connected: ['good', '<M6 2a4 4 0 1 0 0 8a4 4 0 0 0 0-8z'],
  draining: ['warn', 'M6 1.5v7M3 6l3 3l3-3M2 11h8'], disconnected: ['bad', 'M6 1.2L10.8 6L6 10.8L1.2 6z'],
};
const STATE_WORDS = { disconnected: 'away' };

function stateMark(state) {
  const glyph = svg('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' }, svg('path'));
  const mark = el('span', { class: 'state' }, glyph, el('span'));
  setState(mark, state);
  return mark;
}

function setState(mark, state) {
  if (mark.shownState === state) return;
  mark.shownState = state;
  const [tone, path] = GLYPHS[state] ?? ['soft', 'M3 6h6'];
  const solid = path.startsWith('<');
  mark.className = `state tone-${tone}`;
  const shape = mark.firstChild.firstChild;
  shape.setAttribute('d', solid ? path.slice(1) : path);
  shape.setAttribute('class', solid ? 'solid' : '');
  mark.lastChild.textContent = STATE_WORDS[state] ?? state ?? '';
}

function meter() { return el('span', { class: 'meter', 'aria-hidden': 'true' }, el('i')); }
function setMeter(node, share) {
  const text = `scaleX(${Math.max(0, Math.min(1, share)).toFixed(3)})`;
  if (node.firstChild.style.transform !== text) node.firstChild.style.transform = text;
}
// What the page knows of the fleet. Events change it; nothing here touches the document.

const ENDED = new Set(['completed', 'failed', 'cancelled']);
const ACTIVE = new Set(['running', 'assigned', 'paused']);
const PRIORITIES = ['CRITICAL', 'HIGH', 'NORMAL', 'LOW', 'BACKGROUND'];
const STATUSES = ['running', 'queued', 'paused', 'failed', 'completed', 'cancelled'];

const model = {
  tasks: new Map(), // by id; with the times as numbers, and what a search looks at
  workers: new Map(), // by id; with `spans`, when each was in which state
  running: new Map(), // worker → ids of its tasks
  runs: new Map(), // run → how many tasks
  overview: null,
  windowMs: LIMITS.windowsMs[0],
  clockOffset: 0, // the coordinator's clock minus this one's
  seconds: [], // {at, ended, failed}, one a second
  roundTrips: [], // {at, median, high}
  reconnections: [], // {at, count}: the coordinator's total
  onAway() {}, // hears of each worker that goes
  isPartial: false, // more tasks exist than are kept
  changed: new Set(), // ids of tasks that the list has not taken notice of
  tasksAnew: true, workersVersion: 0,

  now() { return Date.now() + this.clockOffset; },

  // Tasks

  putTask(task) {
    const known = this.tasks.get(task.task_id);
    if (known) this.forget(known);
    else if (this.tasks.size >= LIMITS.tasks) this.makeRoom();
    task.submitted = milliseconds(task.submitted_at);
    task.started = milliseconds(task.started_at);
    task.ended = milliseconds(task.finished_at);
    // Active ones first, then those that wait, then those that ended; the newest of each first, except in the queue.
    task.rank = ACTIVE.has(task.status) ? 0 : task.status === 'queued' ? 1 : 2;
    task.order = task.rank === 0 ? -(task.started ?? task.submitted) : task.rank === 1
      ? PRIORITIES.indexOf(task.priority) * 1e13 + task.submitted : -(task.ended ?? task.submitted);
    task.words = null;
    this.tasks.set(task.task_id, task);
    if (task.run) this.runs.set(task.run, (this.runs.get(task.run) ?? 0) + 1);
    if (task.rank === 0 && task.worker_id) {
      const ids = this.running.get(task.worker_id);
      if (ids) ids.add(task.task_id); else this.running.set(task.worker_id, new Set([task.task_id]));
    }
    this.changed.add(task.task_id);
  },

  forget(task) {
    this.tasks.delete(task.task_id);
    this.changed.add(task.task_id);
    const count = this.runs.get(task.run);
    if (count > 1) this.runs.set(task.run, count - 1); else this.runs.delete(task.run);
    const ids = this.running.get(task.worker_id);
    if (ids?.delete(task.task_id) && ids.size === 0) this.running.delete(task.worker_id);
  },

  // A tenth at a time, so that it is not done for each task that comes.
  makeRoom() {
    this.isPartial = true;
    let excess = Math.ceil(LIMITS.tasks / 10);
    for (const wanted of [2, 1, 0]) {
      for (const task of this.tasks.values()) {
        if (excess <= 0) return;
        if (task.rank === wanted) { this.forget(task); excess -= 1; }
      }
    }
  },

  // Workers

  putWorker(worker) {
    const known = this.workers.get(worker.worker_id);
    const merged = { ...known, ...worker, spans: known?.spans ?? [] };
    merged.rtt = merged.rtt_s == null ? null : merged.rtt_s * 1_000;
    this.workers.set(worker.worker_id, merged);
    if (known?.state === 'connected' && (merged.state === 'disconnected' || merged.state === 'lost')) this.onAway(worker.worker_id);
    const since = milliseconds(merged.connected_at);
    const last = merged.spans.at(-1);
    if (merged.state === 'connected' && since && last?.state === 'connected' && since > last.from + 1_500) {
      // It was away while nobody told us.
      last.to = Math.max(last.from, since - 1_000);
      merged.spans.push({ state: 'disconnected', from: last.to, to: since }, { state: 'connected', from: since, to: null });
    }
    const from = merged.state === 'connected' && since && (!last || since >= last.from) ? since : this.now();
    this.stateOfWorker(merged, merged.state, from);
    this.workersVersion += 1;
  },

  stateOfWorker(worker, state, from) {
    const last = worker.spans.at(-1);
    if (last && last.to === null && last.state === state) return;
    if (last && last.to === null) last.to = Math.max(last.from, from);
    worker.spans.push({ state, from, to: null });
    const horizon = this.now() - LIMITS.windowsMs.at(-1);
    while (worker.spans.length > LIMITS.spans || (worker.spans[0].to ?? Infinity) < horizon) worker.spans.shift();
  },

  // A worker that the coordinator no longer lists is forgotten here as well.
  putWorkers(workers) {
    const ids = new Set(workers.map(worker => worker.worker_id));
    for (const id of this.workers.keys()) if (!ids.has(id)) this.workers.delete(id);
    for (const worker of workers) this.putWorker(worker);
    const times = [];
    for (const worker of this.workers.values()) {
      if (worker.rtt !== null && worker.state !== 'disconnected' && worker.state !== 'lost') times.push(worker.rtt);
    }
    if (times.length) {
      times.sort((a, b) => a - b);
      this.roundTrips.push({
        at: this.now(), median: median(times), high: times[Math.min(times.length - 1, Math.ceil(times.length * 0.95) - 1)],
        worst: times.at(-1),
      });
    }
    this.trim(this.roundTrips);
  },

  awayTimes(worker) {
    const now = this.now();
    const horizon = now - this.windowMs;
    let [times, total, wasAway] = [0, 0, false];
    for (const span of worker.spans) {
      const isAway = (span.state === 'disconnected' || span.state === 'lost') && (span.to ?? now) >= horizon;
      // Away and then given up is one absence.
      if (isAway && !wasAway) times += 1;
      if (isAway) total += (span.to ?? now) - Math.max(span.from, horizon);
      wasAway = isAway;
    }
    return { times, total };
  },

  // The overview, once a second

  putOverview(overview) {
    const at = milliseconds(overview.time);
    const before = this.overview;
    if (at) this.clockOffset = at - Date.now();
    this.overview = overview;
    this.windowMs = LIMITS.windowsMs.find(length => length >= overview.uptime_s * 800) ?? LIMITS.windowsMs.at(-1);
    const { totals } = overview;
    if (!totals) return;
    // Totals begin anew with a coordinator; nothing can be said about the second in which they did.
    if (before?.totals && totals.completed >= before.totals.completed && this.secondsAt) {
      const span = Math.max(0.2, (at - this.secondsAt) / 1_000);
      const ended = key => Math.max(0, totals[key] - before.totals[key]) / span;
      const failed = ended('failed');
      this.seconds.push({ at, ended: ended('completed') + failed + ended('cancelled'), failed });
    }
    this.secondsAt = at;
    this.reconnections.push({ at, count: totals.reconnections });
    this.trim(this.seconds);
    this.trim(this.reconnections);
  },

  // What happened before this page was opened, as far as the tasks' own times tell it.
  fillThroughput() {
    if (this.isPartial || this.seconds.length > 30) return;
    const now = this.now();
    const first = this.seconds[0]?.at ?? now;
    const bins = new Map();
    for (const task of this.tasks.values()) {
      if (task.rank !== 2 || !task.ended || task.ended >= first || task.ended < now - LIMITS.windowsMs.at(-1)) continue;
      const second = Math.floor(task.ended / 1_000) * 1_000;
      const bin = bins.get(second) ?? { at: second, ended: 0, failed: 0 };
      bin.ended += 1;
      if (task.status === 'failed') bin.failed += 1;
      bins.set(second, bin);
    }
    for (let at = Math.min(...bins.keys()); at < first; at += 1_000) {
      if (!bins.has(at)) bins.set(at, { at, ended: 0, failed: 0 });
    }
    this.seconds = [...bins.values()].sort((a, b) => a.at - b.at).concat(this.seconds);
  },

  trim(series) {
    const horizon = this.now() - LIMITS.windowsMs.at(-1) - 5_000;
    let stale = 0;
    while (stale < series.length && series[stale].at < horizon) stale += 1;
    if (stale) series.splice(0, stale);
  },
};
// The coordinator's HTTP interface: questions, orders, and the stream of events that keeps the model fresh.

class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title || `HTTP ${status}`);
    this.status = status;
  }
}

const keys = {
  get() { try { return sessionStorage.getItem('lifeline-key') ?? ''; } catch { return this.value ?? ''; } },
  set(key) {
    this.value = key;
    try { if (key) sessionStorage.setItem('lifeline-key', key); else sessionStorage.removeItem('lifeline-key'); } catch { /* Kept for this page only. */ }
  },
};

// Relative to the page, so that it also works behind a proxy that adds a prefix.
function address(path, query = {}) {
  const url = new URL(`api/v1/${path}`, location.href.split('#')[0]);
  for (const [key, value] of Object.entries(query)) if (value != null && value !== '') url.searchParams.set(key, value);
  return url;
}

async function ask(path, { query, method = 'GET', signal, accept = 'application/json' } = {}) {
  const headers = { Accept: accept };
  const key = keys.get();
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(address(path, query), { method, headers, signal, cache: 'no-store', credentials: 'omit' });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, 'the coordinator cannot be reached');
  }
  if (response.ok) return response;
  let said = {};
  try { said = await response.json(); } catch { /* Not one of ours: its status has to do. */ }
  throw new Problem(response.status, said.title ?? said.error, said.detail ?? said.message);
}

const askJSON = async (path, options) => (await ask(path, options)).json();
const taskPath = (id, rest = '') => `tasks/${encodeURIComponent(id)}${rest}`;

// Server-sent events out of a stream of bytes. `hear` gets each event's name and data.
async function readEvents(response, hear, heard) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    const began = performance.now();
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      let [name, data] = ['message', ''];
      for (const line of block.split(/\r?\n/)) {
        if (line.startsWith('data:')) data += (data ? '\n' : '') + line.slice(line[5] === ' ' ? 6 : 5);
        else if (line.startsWith('event:')) name = line.slice(6).trim();
      }
      if (data) hear(name, JSON.parse(data));
    }
    statistics.applied(performance.now() - began);
  }
}

const live = {
  state: 'connecting', retryAt: null, attempt: 0, problem: '', wasLost: false,

  // For as long as the page is open: connect, load, follow; when the line breaks, wait a little and begin anew.
  async run() {
    for (;;) {
      const control = new AbortController();
      try {
        await this.follow(control);
        this.problem = 'the coordinator ended the stream';
      } catch (error) {
        if (error.status === 401) {
          this.set('connecting');
          await askForKey(keys.get() ? error.message : '');
          continue;
        }
        this.problem = control.signal.aborted ? control.signal.reason.message : error.message;
      } finally {
        control.abort();
      }
      await this.pause();
    }
  },

  async follow(control) {
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => control.abort(new Error('the coordinator has fallen silent')), LIMITS.silenceMs);
    };
    heard();
    try {
      const response = await ask('events', { signal: control.signal, accept: 'text/event-stream' });
      // Whatever changes from here on comes as an event, and is newer than what a list says about the same task.
      const touched = new Set();
      this.touched = touched;
      const events = readEvents(response, (name, data) => this.hear(name, data), heard);
      events.catch(() => {});
      await Promise.race([this.load(control.signal, touched), events]);
      this.touched = null;
      this.attempt = 0;
      this.set('live');
      const polling = this.pollWorkers(control.signal);
      await Promise.race([events, polling]);
    } finally {
      clearTimeout(silence);
      this.touched = null;
    }
  },

  async pause() {
    const { first, last } = LIMITS.retryMs;
    const longest = Math.min(last, first * 2 ** this.attempt);
    this.attempt += 1;
    const wait = longest / 2 + Math.random() * (longest / 2);
    this.retryAt = Date.now() + wait;
    this.set('lost');
    await new Promise(resolve => { this.retryNow = resolve; setTimeout(resolve, wait); });
    this.retryAt = null;
  },

  set(state) {
    if (state === this.state) return;
    if (state === 'lost') announce('Connection to the coordinator lost');
    if (state === 'live' && this.wasLost) announce('Connected again');
    this.wasLost = state === 'lost' || (this.wasLost && state !== 'live');
    this.state = state;
    schedule();
  },

  hear(name, data) {
    switch (name) {
      case 'task_changed':
        this.touched?.add(data.task_id);
        model.putTask(data);
        detail.taskChanged(data);
        break;
      case 'worker_connected':
      case 'worker_disconnected':
      case 'worker_changed':
        if (data.state) model.putWorker(data); else this.workersAreStale?.();
        break;
      case 'overview': model.putOverview(data); break;
      default: return;
    }
    schedule();
  },

  async load(signal, touched) {
    const [overview, workers] = await Promise.all([askJSON('overview', { signal }), askJSON('workers', { signal })]);
    model.putOverview(overview);
    model.putWorkers(workers.workers);
    // What is shown stays until it is known to be gone: after a loss of the line the page is not to be empty for a while.
    const doubtful = new Set(model.tasks.keys());
    model.isPartial = false;
    const total = Object.values(overview.tasks ?? {}).reduce((sum, count) => sum + count, 0);
    // Where not all can be kept, what an operator looks at first comes first.
    const parts = total <= LIMITS.tasks ? [''] : ['running', 'assigned', 'paused', 'failed', 'queued', 'completed', 'cancelled'];
    for (const status of parts) await this.loadTasks({ status }, { signal, touched, doubtful });
    for (const id of doubtful) {
      const task = model.tasks.get(id);
      if (task && !touched.has(id) && !model.isPartial) model.forget(task);
    }
    model.fillThroughput();
    detail.loadAnew();
    schedule();
  },

  async loadTasks(query, { signal, touched, doubtful } = {}) {
    let cursor = '';
    do {
      const page = await askJSON('tasks', { query: { ...query, limit: LIMITS.page, cursor }, signal });
      for (const task of page.tasks) {
        doubtful?.delete(task.task_id);
        if (touched?.has(task.task_id)) continue;
        if (model.tasks.size >= LIMITS.tasks && !model.tasks.has(task.task_id)) {
          const [old] = doubtful ?? [];
          if (!old) { model.isPartial = true; return; }
          doubtful.delete(old);
          if (model.tasks.has(old)) model.forget(model.tasks.get(old));
        }
        model.putTask(task);
      }
      cursor = page.next_cursor;
      schedule();
    } while (cursor);
  },

  // Round-trip times and slots have no events of their own. A large fleet is asked more rarely.
  async pollWorkers(signal) {
    for (;;) {
      const wait = model.workers.size > 300 ? 5_000 : 2_000;
      await new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, wait);
        this.workersAreStale = () => { clearTimeout(timer); setTimeout(resolve, 100); };
        signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
      });
      let workers;
      // One answer that fails to come is no loss of the line; the silence of the events tells that.
      try { ({ workers } = await askJSON('workers', { signal })); } catch (error) { if (signal.aborted || error.status === 401) throw error; else continue; }
      const began = performance.now();
      model.putWorkers(workers);
      statistics.applied(performance.now() - began);
      schedule();
    }
  },
};
// Two small line plots, drawn in the pixels that there are.

function niceCeiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map(step => step * power).find(step => step >= value * 1.02) ?? 20 * power;
}

class Plot {
  constructor(box, { area = false, unit }) {
    this.box = box;
    this.unit = unit;
    this.grid = svg('g');
    this.area = svg('path', { class: area ? 'area' : 'none', fill: 'none' });
    if (area) this.area.removeAttribute('fill');
    this.main = svg('path', { class: 'main' });
    this.second = svg('path', { class: 'second' });
    this.root = svg('svg', { role: 'img' }, this.grid, this.area, this.second, this.main);
    box.append(this.root);
    new ResizeObserver(entries => {
      const { width, height } = entries[0].contentRect;
      this.size = { width, height };
      schedule();
    }).observe(this.root);
  }

  // `lines`: for each of main and second, points [x from 0 to 1, value] with null where nothing is known.
  draw({ main, second = [], label }) {
    if (!this.size?.width) return;
    const { width, height } = this.size;
    const [left, right, top, bottom] = [44, 4, 8, 18];
    const highest = Math.max(...main.map(point => point?.[1] ?? 0), ...second.map(point => point?.[1] ?? 0));
    const ceiling = niceCeiling(highest);
    const x = share => left + share * (width - left - right);
    const y = value => top + (1 - Math.min(1, value / ceiling)) * (height - top - bottom);
    const minutes = model.windowMs / 60_000;
    const shape = `${width}x${height}:${ceiling}:${minutes}`;
    if (this.shape !== shape) {
      this.shape = shape;
      this.root.setAttribute('viewBox', `0 0 ${width} ${height}`);
      this.grid.replaceChildren();
      for (const step of [0, 0.5, 1]) {
        const at = Math.round(y(step * ceiling)) + 0.5;
        this.grid.append(
          svg('path', { class: step ? 'grid' : 'base', d: `M${left} ${at}H${width - right}` }),
          svg('text', { x: left - 8, y: at + 3.5, 'text-anchor': 'end' }, step ? this.unit(step * ceiling) : '0'));
      }
      for (const [share, text, anchor] of [[0, `${minutes} min ago`, 'start'], [0.5, `${minutes / 2} min ago`, 'middle'], [1, 'now', 'end']]) {
        this.grid.append(svg('text', { x: x(share), y: height - 3, 'text-anchor': anchor }, text));
      }
    }
    const path = points => {
      let [text, pen] = ['', false];
      for (const point of points) {
        if (!point) { pen = false; continue; }
        text += `${pen ? 'L' : 'M'}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`;
        pen = true;
      }
      return text;
    };
    const drawn = path(main);
    this.main.setAttribute('d', drawn);
    const known = main.filter(Boolean);
    this.area.setAttribute('d', known.length > 1 ? `${drawn}V${y(0)}H${x(known[0][0]).toFixed(1)}Z` : '');
    this.second.setAttribute('d', path(second));
    setAttribute(this.root, 'aria-label', label);
  }
}

// Means of a series in 120 bins, which is as much as a plot of this size can show.
function binned(series, value) {
  const binMs = model.windowMs / 120;
  const end = Math.ceil(model.now() / binMs) * binMs;
  const bins = 120;
  const sums = new Array(bins).fill(0);
  const counts = new Array(bins).fill(0);
  for (const sample of series) {
    const bin = bins - 1 - Math.floor((end - sample.at) / binMs);
    if (bin < 0 || bin >= bins) continue;
    sums[bin] += value(sample);
    counts[bin] += 1;
  }
  // The newest bin is not full yet; it would jump about.
  const points = sums.map((sum, bin) => (counts[bin] ? [bin / (bins - 1), sum / counts[bin]] : null)).slice(0, -1);
  // Bins may be narrower than the time between two samples: only what is missing for longer is a gap.
  let known = -1;
  points.forEach((point, bin) => {
    if (!point) return;
    if (known >= 0 && (bin - known) * binMs <= 8_000) {
      for (let between = known + 1; between < bin; between += 1) {
        const share = (between - known) / (bin - known);
        points[between] = [between / (bins - 1), points[known][1] * (1 - share) + point[1] * share];
      }
    }
    known = bin;
  });
  return points;
}
// A table of any length of which only the rows in sight exist. One row is in the order of the Tab key; arrows move on.

class VirtualList {
  // `create(row)` fills a new row and returns its parts; `update(parts, item)` shows an item in them.
  constructor(box, { label, columns, key, create, update, empty }) {
    Object.assign(this, { box, key, create, update, items: [], rows: new Map(), spare: [], active: 0 });
    this.head = el('tr', { role: 'row', 'aria-rowindex': 1 }, ...columns.map(([name, kind, hidden]) => el(
      'th', { scope: 'col', role: 'columnheader', class: kind }, hidden ? el('span', { class: 'unseen' }, name) : name)));
    this.body = el('tbody', { role: 'rowgroup' });
    this.table = el('table', { role: 'table', 'aria-label': label }, el('thead', { role: 'rowgroup' }, this.head), this.body);
    this.empty = el('p', { class: 'empty', hidden: true }, empty);
    box.append(this.table, this.empty);
    box.addEventListener('scroll', () => schedule(true), { passive: true });
    this.body.addEventListener('keydown', event => this.keyPressed(event));
    this.body.addEventListener('focusin', event => {
      const row = event.target.closest('tr');
      if (row?.item) this.setActive(this.items.indexOf(row.item), row);
    });
    new ResizeObserver(() => { this.measure(); schedule(true); }).observe(box);
    this.measure();
  }

  measure() {
    const style = getComputedStyle(document.documentElement);
    this.rowHeight = parseFloat(style.getPropertyValue('--row')) * parseFloat(style.fontSize);
    this.height = this.box.clientHeight;
  }

  show(items, emptyText) {
    this.items = items;
    const none = items.length === 0;
    if (this.empty.hidden === none) this.empty.hidden = !none;
    if (none) setText(this.empty, emptyText);
    if (this.table.hidden !== none) this.table.hidden = none;
    if (this.active >= items.length) this.active = Math.max(0, items.length - 1);
    setAttribute(this.table, 'aria-rowcount', String(items.length + 1));
    const height = `${items.length * this.rowHeight}px`;
    if (this.body.style.height !== height) this.body.style.height = height;
    this.render();
  }

  render() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.rowHeight) - 4);
    const last = Math.min(this.items.length, Math.ceil((this.box.scrollTop + this.height) / this.rowHeight) + 4);
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest('tr') : null;
    const wanted = new Map();
    for (let index = first; index < last; index += 1) wanted.set(this.key(this.items[index]), index);
    // The row that has the focus stays, wherever it has moved to, or the focus would be lost.
    if (focused) {
      const key = this.key(focused.item);
      if (!wanted.has(key)) {
        const index = this.items.findIndex(item => this.key(item) === key);
        if (index >= 0) wanted.set(key, index);
      }
      if (wanted.has(key)) this.active = wanted.get(key);
    }
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      this.rows.delete(key);
      if (row === focused) { this.box.tabIndex = -1; this.box.focus({ preventScroll: true }); }
      row.remove();
      if (this.spare.length < 40) this.spare.push(row);
    }
    let cursor = this.body.firstChild;
    for (const [key, index] of [...wanted].sort((a, b) => a[1] - b[1])) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.spare.pop() ?? this.newRow();
        this.rows.set(key, row);
      }
      const item = this.items[index];
      row.item = item;
      setAttribute(row, 'aria-rowindex', String(index + 2));
      const top = `translateY(${index * this.rowHeight}px)`;
      if (row.style.transform !== top) row.style.transform = top;
      this.update(row.parts, item, row);
      this.setTab(row, index === this.active);
      // In the document as in sight. The focused row itself is never moved: what stands before it is taken out.
      if (row === focused) while (cursor && cursor !== row) { const next = cursor.nextSibling; cursor.remove(); cursor = next; }
      if (row === cursor) cursor = cursor.nextSibling; else this.body.insertBefore(row, cursor);
    }
    if (this.items.length && !this.rows.has(this.key(this.items[this.active]))) {
      // The row that Tab would lead to is out of sight: let it be the first in sight.
      const index = Math.min(this.items.length - 1, Math.ceil(this.box.scrollTop / this.rowHeight));
      this.setActive(index);
    }
  }

  newRow() {
    const row = el('tr', { role: 'row' });
    row.parts = this.create(row);
    return row;
  }

  setTab(row, isActive) {
    if (row.isActive === isActive) return;
    row.isActive = isActive;
    for (const button of row.querySelectorAll('button')) button.tabIndex = isActive ? 0 : -1;
  }

  setActive(index) {
    if (index < 0) return;
    this.active = index;
    const key = this.items[index] && this.key(this.items[index]);
    for (const [other, row] of this.rows) this.setTab(row, other === key);
  }

  keyPressed(event) {
    const row = event.target.closest('tr');
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.height / this.rowHeight) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      const buttons = [...row.querySelectorAll('button:not(:disabled)')];
      buttons[buttons.indexOf(event.target) + (event.key === 'ArrowRight' ? 1 : -1)]?.focus();
    } else if (event.key in steps) {
      const index = Math.max(0, Math.min(this.items.length - 1, this.items.indexOf(row.item) + steps[event.key]));
      this.focus(index);
    } else return;
    event.preventDefault();
  }

  focus(index) {
    const top = index * this.rowHeight;
    const space = this.height - this.table.tHead.offsetHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.rowHeight > this.box.scrollTop + space) this.box.scrollTop = top + this.rowHeight - space;
    this.setActive(index);
    this.render();
    this.rows.get(this.key(this.items[index]))?.querySelector('button')?.focus({ preventScroll: true });
  }
}
// What the page says by itself: news for screen readers, results of orders, questions before what cannot be undone.

// Few and short, or nobody listens any more.
function announce(text) { $('announcer').textContent = text; }

// Many workers may go at once; that is one piece of news.
const awayNews = {
  ids: new Set(), timer: null,
  add(id) {
    this.ids.add(id);
    this.timer ??= setTimeout(() => {
      const still = [...this.ids].filter(id => model.workers.get(id)?.state !== 'connected');
      this.timer = null;
      this.ids.clear();
      if (still.length) announce(still.length === 1 ? `Worker ${still[0]} is away` : `${number(still.length)} workers are away`);
    }, 2_000);
  },
};

model.onAway = id => awayNews.add(id);

function toast(strong, text, failed = false) {
  const close = () => node.remove();
  const node = el('div', { class: failed ? 'toast failed' : 'toast', role: failed ? 'alert' : 'status' },
    el('p', {}, el('b', {}, strong), text ? ` ${text}` : ''), el('button', { type: 'button', class: 'quiet', onclick: close }, 'Dismiss'));
  const box = $('toasts');
  while (box.children.length >= LIMITS.toasts) box.firstChild.remove();
  box.append(node);
  // What failed stays until it was read.
  if (!failed) setTimeout(close, 7_000);
}

// Resolves to whether the person agreed. Escape says no, and so does Enter at once: the focus begins on "no".
function confirmed({ title, text, yes, no = 'Keep it' }) {
  const dialog = $('confirm');
  $('confirm-title').textContent = title;
  $('confirm-text').textContent = text;
  $('confirm-yes').textContent = yes;
  $('confirm-no').textContent = no;
  return new Promise(resolve => {
    const back = document.activeElement;
    dialog.returnValue = '';
    $('confirm-yes').onclick = () => dialog.close('yes');
    $('confirm-no').onclick = () => dialog.close('no');
    dialog.onclose = () => {
      if (back?.isConnected) back.focus();
      resolve(dialog.returnValue === 'yes');
    };
    dialog.showModal();
    $('confirm-no').focus();
  });
}

// An order to the coordinator, after the question that belongs to it, and what became of it in words.
async function order({ path, question, doing, done }) {
  if (question && !(await confirmed(question))) return false;
  try {
    const response = await ask(path, { method: 'POST' });
    const text = await response.text();
    toast(done);
    return text ? JSON.parse(text) : {};
  } catch (error) {
    if (error.status === 401) {
      await askForKey(error.message);
      return false;
    }
    const why = error.status === 403 ? `${error.message}. Use a key with another role: “Forget key”, above.` : `${error.message}.`;
    toast(`Could not ${doing}:`, why.replace(/\.\.$/, '.'), true);
    return false;
  }
}

let keyQuestion = null;
function askForKey(problem) {
  keyQuestion ??= new Promise(resolve => {
    const dialog = $('key');
    $('key-problem').hidden = !problem;
    $('key-problem').textContent = problem ? `Not accepted: ${problem}` : '';
    $('key-input').value = '';
    // Without a key there is nothing behind this question to go back to.
    dialog.oncancel = event => event.preventDefault();
    $('key-form').onsubmit = () => {
      keys.set($('key-input').value.trim());
      $('key-input').value = '';
      $('key-button').hidden = false;
      keyQuestion = null;
      setTimeout(resolve);
    };
    dialog.onclose = () => { if (keyQuestion) dialog.showModal(); };
    if (!dialog.open) dialog.showModal();
    $('key-input').focus();
  });
  return keyQuestion;
}
// The list of workers: who is there, since when, how far away, and with what.

const TROUBLE = { lost: 0, disconnected: 1, draining: 2, connected: 3 };

class Workers {
  constructor() {
    this.list = new VirtualList($('worker-list'), {
      label: 'Workers',
      columns: [['Worker'], [''], ['Back', 'number'], ['Round trip', 'number'], ['Slots'], ['Runs'], ['Orders', '', true]],
      key: worker => worker.worker_id, empty: '',
      create: row => this.create(row), update: (parts, worker) => this.update(parts, worker),
    });
    for (const [id, event] of [['worker-text', 'input'], ['worker-order', 'change']]) {
      $(id).addEventListener(event, () => { this.stale = true; $('worker-list').scrollTop = 0; schedule(true); });
    }
  }

  create(row) {
    const parts = {
      state: stateMark('connected'), open: el('button', { type: 'button', class: 'open' }),
      strip: svg('svg', { class: 'strip', viewBox: '0 0 600 16', preserveAspectRatio: 'none', role: 'img' }),
      back: el('td', { role: 'cell', class: 'number' }), rtt: el('td', { role: 'cell', class: 'number' }), slots: el('span'), meter: meter(),
      runs: el('td', { role: 'cell' }), drain: el('button', { type: 'button' }, 'Drain'),
      paths: ['unknown', 'on', 'leaving', 'off'].map(name => svg('path', { class: name })),
    };
    parts.strip.append(...parts.paths);
    parts.state.lastChild.className = 'unseen';
    parts.open.addEventListener('click', () => tasks.showWorker(row.item.worker_id));
    parts.drain.addEventListener('click', () => this.drain(row.item));
    parts.name = el('span', {});
    parts.open.append(parts.state, parts.name);
    row.append(
      el('th', { role: 'rowheader', scope: 'row' }, parts.open), el('td', { role: 'cell' }, parts.strip), parts.back, parts.rtt,
      el('td', { role: 'cell' }, el('span', { class: 'load' }, parts.slots, parts.meter)), parts.runs, el('td', { role: 'cell' }, parts.drain));
    return parts;
  }

  update(parts, worker) {
    const ids = model.running.get(worker.worker_id);
    const count = ids?.size ?? 0;
    setState(parts.state, worker.state);
    setText(parts.name, ` ${worker.worker_id}`);
    setAttribute(parts.open, 'title', `${worker.worker_id}${worker.remote_address ? `, ${worker.remote_address}` : ''}: show its tasks`);
    setText(parts.back, worker.reconnections ? number(worker.reconnections) : '–');
    const isAway = worker.state === 'disconnected' || worker.state === 'lost';
    setText(parts.rtt, isAway || worker.rtt === null ? '–' : duration(worker.rtt));
    setText(parts.slots, `${count}/${worker.slots}`);
    setMeter(parts.meter, worker.slots ? count / worker.slots : 0);
    const names = [];
    for (const id of ids ?? []) {
      names.push(model.tasks.get(id)?.name || id);
      if (names.length === 3) break;
    }
    const away = isAway ? `${worker.state === 'lost' ? 'lost' : 'away'} ${duration(model.now() - (worker.spans.at(-1)?.from ?? model.now()))}` : '';
    setText(parts.runs, away || names.join(', ') || (worker.state === 'draining' ? 'leaving' : 'idle'));
    setAttribute(parts.runs, 'class', isAway ? 'tone-bad' : names.length ? null : 'dim');
    parts.drain.disabled = worker.state !== 'connected';
    setAttribute(parts.drain, 'aria-label', `Drain ${worker.worker_id}`);
    this.drawStrip(parts, worker);
  }

  // Connected is a tall block, leaving half of one, away a low line, and before the page was opened a hair.
  drawStrip(parts, worker) {
    const now = model.now();
    const horizon = now - model.windowMs;
    const at = time => Math.max(0, Math.min(600, ((time - horizon) / model.windowMs) * 600));
    const shapes = { unknown: '', on: '', leaving: '', off: '' };
    const block = (name, from, to, top, height) => { shapes[name] += `M${from.toFixed(1)} ${top}H${to.toFixed(1)}v${height}H${from.toFixed(1)}z`; };
    let covered = 0;
    const known = worker.spans.length ? at(worker.spans[0].from) : 600;
    if (known > 0) block('unknown', 0, known, 8, 1);
    for (const span of worker.spans) {
      let [from, to] = [Math.max(covered, at(span.from)), at(span.to ?? now)];
      const isOn = span.state === 'connected';
      // However short it was, that somebody was away must be seen.
      if (!isOn && (span.to ?? now) >= horizon) to = Math.max(to, Math.min(600, from + 5));
      if (to <= from) continue;
      if (isOn) block('on', from, to, 3, 10);
      else if (span.state === 'draining') block('leaving', from, to, 8, 5);
      else block('off', from, to, 10, 4);
      covered = to;
    }
    const names = ['unknown', 'on', 'leaving', 'off'];
    parts.paths.forEach((path, index) => setAttribute(path, 'd', shapes[names[index]]));
    const { times, total } = model.awayTimes(worker);
    setAttribute(parts.strip, 'aria-label', times ? `away ${times === 1 ? 'once' : `${times} times`}, ${duration(total)} together` : 'not away');
  }

  async drain(worker) {
    const count = model.running.get(worker.worker_id)?.size ?? 0;
    const done = await order({
      path: `workers/${encodeURIComponent(worker.worker_id)}/drain`, doing: `drain ${worker.worker_id}`, done: `${worker.worker_id} takes nothing more and leaves.`,
      question: {
        title: `Drain ${worker.worker_id}?`, yes: 'Drain worker', no: 'Keep it',
        text: `It takes nothing more, ${count ? `finishes or hands back the ${plural(count, 'task')} it runs` : 'runs nothing now'}, and disconnects. It does not come back by itself.`,
      },
    });
    if (done) live.workersAreStale?.();
  }

  render() {
    setText(this.list.head.children[1], `Last ${model.windowMs / 60_000} minutes`);
    if (this.stale || this.version !== model.workersVersion) {
      this.stale = false;
      this.version = model.workersVersion;
      const wanted = $('worker-text').value.trim().toLowerCase();
      let shown = [...model.workers.values()];
      if (wanted) shown = shown.filter(worker => worker.worker_id.toLowerCase().includes(wanted) || STATE_WORDS[worker.state]?.includes(wanted) || worker.state.includes(wanted));
      const name = (a, b) => (a.worker_id < b.worker_id ? -1 : 1);
      const load = worker => (model.running.get(worker.worker_id)?.size ?? 0) / (worker.slots || 1);
      const orders = {
        trouble: (a, b) => TROUBLE[a.state] - TROUBLE[b.state] || name(a, b), name,
        rtt: (a, b) => (b.rtt ?? -1) - (a.rtt ?? -1) || name(a, b), busy: (a, b) => load(b) - load(a) || name(a, b),
      };
      this.shown = shown.sort(orders[$('worker-order').value]);
      const away = [...model.workers.values()].filter(worker => worker.state === 'disconnected' || worker.state === 'lost').length;
      setText($('workers-now'), wanted ? `${number(shown.length)} of ${number(model.workers.size)}` : away ? `${number(away)} away` : '');
    }
    this.list.show(this.shown, model.workers.size ? 'No worker matches.' : 'No worker has registered yet. Start one: lifeline worker --worker-id w1');
  }
}
// The list of tasks, and what is chosen from it.

class Tasks {
  constructor() {
    this.status = '';
    this.worker = '';
    this.shown = [];
    this.list = new VirtualList($('task-list'), {
      label: 'Tasks',
      columns: [['State'], ['Task'], ['Run'], ['Worker'], ['Try', 'number'], ['Priority'], ['Time', 'number']],
      key: task => task.task_id, empty: '',
      create: row => this.create(row), update: (parts, task, row) => this.update(parts, task, row),
    });
    this.chips = new Map();
    for (const status of ['', ...STATUSES]) {
      const chip = el('button', { type: 'button', 'aria-pressed': String(status === ''), onclick: () => this.choose(status) });
      this.chips.set(status, chip);
      $('task-status').append(chip);
    }
    this.workerChip = el('button', { type: 'button', 'aria-pressed': 'true', hidden: true, onclick: () => this.showWorker('') });
    $('task-status').append(this.workerChip);
    $('task-text').addEventListener('input', () => this.changed());
    $('task-run').addEventListener('change', () => { this.changed(); this.loadMore(); });
  }

  choose(status) {
    this.status = status;
    for (const [name, chip] of this.chips) setAttribute(chip, 'aria-pressed', String(name === status));
    this.changed();
    this.loadMore();
  }

  showWorker(id) {
    this.worker = id;
    this.workerChip.hidden = !id;
    setText(this.workerChip, `On ${id} ✕`);
    setAttribute(this.workerChip, 'aria-label', `Only tasks on ${id}; show all`);
    if (id) $('tasks').focus();
    this.changed();
  }

  changed() {
    this.stale = true;
    $('task-list').scrollTop = 0;
    this.list.active = 0;
    schedule(true);
  }

  // Where the coordinator has more tasks than the page keeps, a choice is asked for by itself.
  async loadMore() {
    const query = { status: this.status, run: $('task-run').value };
    if (!model.isPartial || (!query.status && !query.run)) return;
    try { await live.loadTasks(query); } catch (error) { toast('Could not load these tasks:', `${error.message}.`, true); }
    this.changed();
  }

  create(row) {
    const cell = (kind) => el('td', { role: 'cell', class: kind });
    const parts = {
      state: stateMark('queued'), open: el('button', { type: 'button', class: 'open' }), run: cell('dim'), worker: cell(), attempt: cell('number'),
      priority: cell('dim'), time: cell('number'),
    };
    parts.open.addEventListener('click', () => detail.open(row.item.task_id, parts.open));
    row.append(
      el('td', { role: 'cell' }, parts.state), el('th', { role: 'rowheader', scope: 'row' }, parts.open), parts.run, parts.worker, parts.attempt,
      parts.priority, parts.time);
    return parts;
  }

  update(parts, task, row) {
    setState(parts.state, task.status);
    setText(parts.open, task.name || task.task_id);
    setAttribute(parts.open, 'title', task.task_id);
    setText(parts.run, task.run ?? '–');
    setText(parts.worker, task.worker_id ?? '–');
    setText(parts.attempt, task.attempt ? String(task.attempt) : '–');
    setText(parts.priority, (task.priority ?? '').toLowerCase());
    const now = model.now();
    setText(parts.time, task.rank === 1 ? shortDuration(now - task.submitted)
      : task.started ? shortDuration((task.ended ?? now) - task.started) : '–');
    row.classList.toggle('chosen', detail.id === task.task_id);
  }

  matches(task) {
    if (this.status && task.status !== this.status && !(this.status === 'running' && task.status === 'assigned')) return false;
    if (this.run && task.run !== this.run) return false;
    if (this.worker && task.worker_id !== this.worker) return false;
    if (!this.text) return true;
    task.words ??= `${task.name} ${task.task_id} ${task.run ?? ''} ${task.worker_id ?? ''} ${task.command?.join(' ') ?? ''} ${task.reason ?? ''}`.toLowerCase();
    return this.text.every(word => task.words.includes(word));
  }

  render() {
    const isAnew = this.stale || model.tasksAnew;
    if (isAnew || model.changed.size) {
      this.stale = model.tasksAnew = false;
      this.run = $('task-run').value;
      const text = $('task-text').value.trim().toLowerCase();
      this.text = text ? text.split(/\s+/) : null;
      // A few that changed are put where they belong; sorting all of them each time would take longest of everything here.
      const { changed } = model;
      const fresh = [];
      for (const task of isAnew ? model.tasks.values() : [...changed].map(id => model.tasks.get(id))) if (task && this.matches(task)) fresh.push(task);
      fresh.sort(Tasks.before);
      this.shown = isAnew ? fresh : Tasks.merged(this.shown.filter(task => !changed.has(task.task_id)), fresh);
      changed.clear();
      this.renderRuns();
    }
    this.renderChips();
    this.list.show(this.shown, this.emptyText());
  }

  static before(a, b) { return a.rank - b.rank || a.order - b.order || (a.task_id < b.task_id ? -1 : 1); }

  static merged(old, fresh) {
    if (!fresh.length) return old;
    const all = [];
    let next = 0;
    for (const task of old) {
      while (next < fresh.length && Tasks.before(fresh[next], task) < 0) all.push(fresh[next++]);
      all.push(task);
    }
    return all.concat(fresh.slice(next));
  }

  emptyText() {
    if (live.state === 'connecting') return 'Loading…';
    return model.tasks.size ? 'No task matches.' : 'No tasks yet. Submit one: lifeline submit -- make test';
  }

  renderChips() {
    const counts = model.overview?.tasks ?? {};
    const count = status => (counts[status] ?? 0) + (status === 'running' ? counts.assigned ?? 0 : 0);
    const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
    setText(this.chips.get(''), `All ${number(all)}`);
    for (const status of STATUSES) setText(this.chips.get(status), `${status[0].toUpperCase()}${status.slice(1)} ${number(count(status))}`);
    const filtered = this.status || this.run || this.worker || this.text;
    setText($('tasks-now'), filtered ? `${number(this.shown.length)} shown`
      : model.isPartial ? `${number(model.tasks.size)} kept here; choose a run or a status for others` : '');
  }

  // Changing the choices while somebody chooses would take the list out of his hands.
  renderRuns() {
    const select = $('task-run');
    if (document.activeElement === select) return;
    const runs = [...model.runs.keys()].slice(-LIMITS.runs).reverse();
    if (this.run && !runs.includes(this.run)) runs.push(this.run);
    const text = runs.join('\n');
    if (text === this.runsShown) return;
    this.runsShown = text;
    select.replaceChildren(el('option', { value: '' }, 'All runs'), ...runs.map(run => el('option', { value: run }, run)));
    select.value = this.run ?? '';
  }
}
// One task: what it is, its attempts and checkpoints, its output as it is written, and what can be done to it.

const detail = {
  id: null, task: null, stream: 'stdout', follows: true, log: null, timer: null,

  open(id, opener) {
    if (this.id === id) return;
    if (!this.id) this.opener = opener;
    this.stopLog();
    Object.assign(this, { id, task: null, parts: null, stream: 'stdout', follows: true, data: new Map() });
    const title = el('h2', { id: 'detail-title', tabindex: -1 }, model.tasks.get(id)?.name || id);
    const parts = this.parts = {
      title, buttons: el('div', { class: 'buttons' }), facts: el('dl', { class: 'facts' }), attempts: el('section', { 'aria-label': 'Attempts' }),
      checkpoints: el('section', { 'aria-label': 'Checkpoints' }), log: el('pre', { class: 'log', tabindex: 0, role: 'log', 'aria-live': 'off', 'aria-label': 'Output' }),
      logState: el('span', { class: 'dim' }), streams: new Map(),
    };
    const streamChips = el('div', { class: 'chips', role: 'group', 'aria-label': 'Stream' });
    for (const stream of ['stdout', 'stderr']) {
      const chip = el('button', { type: 'button', 'aria-pressed': String(stream === this.stream), onclick: () => this.showStream(stream) }, stream);
      parts.streams.set(stream, chip);
      streamChips.append(chip);
    }
    const follow = el('input', { type: 'checkbox', checked: true, onchange: event => {
      this.follows = event.target.checked;
      if (this.follows) parts.log.scrollTop = parts.log.scrollHeight;
    } });
    $('detail').replaceChildren(
      el('header', {}, title, el('button', { type: 'button', class: 'quiet', onclick: () => this.close() }, 'Close'), el('span', { class: 'id' }, id), parts.buttons),
      el('section', { 'aria-label': 'Facts' }, parts.facts), parts.attempts, parts.checkpoints,
      el('section', { class: 'logs', 'aria-label': 'Output' }, el('h3', {}, 'Output'),
        el('div', { class: 'logs-bar' }, streamChips, parts.logState, el('label', {}, follow, 'Follow')), parts.log));
    $('detail').hidden = false;
    $('detail').scrollTop = 0;
    parts.title.focus();
    history.replaceState(null, '', `#task=${encodeURIComponent(id)}`);
    this.load();
    this.startLog();
    schedule(true);
  },

  close() {
    this.stopLog();
    clearTimeout(this.timer);
    Object.assign(this, { id: null, task: null, timer: null });
    $('detail').hidden = true;
    $('detail').replaceChildren();
    history.replaceState(null, '', location.pathname + location.search);
    if (this.opener?.isConnected) this.opener.focus(); else $('tasks').focus();
    schedule(true);
  },

  // Changes may come many times a second; the details are asked for once.
  taskChanged(task) {
    if (task.task_id !== this.id) return;
    if (this.task) { Object.assign(this.task, task); this.isStale = true; }
    this.timer ??= setTimeout(() => { this.timer = null; this.load(); }, 500);
    if (this.log?.ended && ACTIVE.has(task.status)) this.startLog();
  },

  // After a loss of the line: what changed meanwhile was told to nobody.
  loadAnew() {
    if (!this.id) return;
    this.load();
    if (this.log?.isBroken) this.startLog();
  },

  async load() {
    const id = this.id;
    if (!id) return;
    this.loadedAt = performance.now();
    try {
      const answer = await askJSON(taskPath(id));
      if (this.id !== id) return;
      this.task = answer;
      this.isStale = true;
      schedule(true);
      this.loadCheckpoints(id, answer.checkpoints);
    } catch (error) {
      if (this.id === id && !this.task) this.parts.facts.replaceChildren(el('dd', { class: 'wide problem' }, `Could not be loaded: ${error.message}.`));
    }
  },

  // What small ones hold is shown; a checkpoint never changes, so each is asked for once.
  async loadCheckpoints(id, checkpoints) {
    for (const { id: name, bytes } of [...checkpoints].reverse()) {
      if (this.id !== id) return;
      if (bytes > LIMITS.checkpointBytes || this.data.has(name)) continue;
      this.data.set(name, '');
      try { this.data.set(name, (await (await ask(taskPath(id, `/checkpoints/${encodeURIComponent(name)}`))).text()).trim()); } catch { this.data.delete(name); return; }
      this.isStale = true;
      schedule();
    }
  },

  render() {
    if (!this.id || !this.task) return;
    // Checkpoints come without an event.
    if (ACTIVE.has(this.task.status) && live.state === 'live' && performance.now() - this.loadedAt > LIMITS.lookAgainMs) this.load();
    const { task, parts } = this;
    if (this.isStale) {
      this.isStale = false;
      setText(parts.title, task.name || task.task_id);
      this.renderButtons(task);
      this.renderFacts(task);
      this.renderAttempts(task);
      this.renderCheckpoints(task);
    }
    const started = milliseconds(task.started_at);
    if (started && parts.time) setText(parts.time, duration((milliseconds(task.finished_at) ?? model.now()) - started));
  },

  renderButtons(task) {
    const shape = `${task.status}`;
    if (this.parts.buttons.shape === shape) return;
    this.parts.buttons.shape = shape;
    const hadFocus = this.parts.buttons.contains(document.activeElement);
    const make = (text, kind, act) => el('button', { type: 'button', class: kind, onclick: act }, text);
    const orders = [];
    if (ENDED.has(task.status)) {
      orders.push(make('Retry', 'strong', () => this.retry()));
    } else {
      if (task.status === 'running') orders.push(make('Pause', '', () => this.order('pause', 'Pausing')));
      if (task.status === 'paused') orders.push(make('Resume', 'strong', () => this.order('resume', 'Resuming')));
      orders.push(make('Cancel task', 'danger', () => this.cancel()));
    }
    this.parts.buttons.replaceChildren(...orders);
    if (hadFocus) (orders[0] ?? this.parts.title).focus();
  },

  order(what, word, question) {
    const name = this.task?.name || this.id;
    return order({ path: taskPath(this.id, `/${what}`), doing: `${what} ${name}`, done: `${word} ${name}.`, question });
  },

  cancel() {
    const name = this.task?.name || this.id;
    return this.order('cancel', 'Cancelling', {
      title: 'Cancel this task?', yes: 'Cancel task', no: 'Let it run',
      text: `${name} ${ACTIVE.has(this.task?.status) ? 'is ended where it runs (SIGTERM, then SIGKILL)' : 'is not started any more'}. It can be retried as a new task.`,
    });
  },

  async retry() {
    const answer = await this.order('retry', 'Submitted again:');
    const id = answer && (answer.task_id ?? answer.task?.task_id);
    if (id) this.open(id);
  },

  renderFacts(task) {
    const facts = [];
    const fact = (name, value, wide = false) => {
      if (value == null || value === '') return;
      facts.push(el('dt', { class: wide ? 'first' : null }, name), el('dd', { class: wide ? 'wide' : null }, value));
    };
    this.parts.time = el('span', {});
    fact('State', stateMark(task.status));
    fact('Exit code', task.exit_code == null ? null : String(task.exit_code));
    fact('Run', task.run);
    fact('Priority', (task.priority ?? '').toLowerCase());
    fact('Worker', task.worker_id);
    fact('Time', task.started_at ? this.parts.time : null);
    fact('Submitted', task.submitted_at && dayTime.format(milliseconds(task.submitted_at)));
    fact('Progress', task.progress == null ? null : `${Math.round(task.progress * 100)} %`);
    fact('Reason', task.reason, true);
    fact('Command', task.command ? el('code', {}, task.command.join(' ')) : task.kind ? el('code', {}, `${task.kind} ${JSON.stringify(task.input ?? {})}`) : null, true);
    fact('Result', task.result == null ? null : el('code', {}, JSON.stringify(task.result)), true);
    this.parts.facts.replaceChildren(...facts);
  },

  renderAttempts(task) {
    const attempts = task.attempts ?? [];
    const rows = attempts.map(attempt => {
      const started = milliseconds(attempt.started_at);
      const ended = milliseconds(attempt.ended_at);
      const from = attempt.resumed_from;
      const words = [
        attempt.exit_code == null ? '' : `exit code ${attempt.exit_code}`, attempt.reason,
        from ? `continued from checkpoint ${from.attempt}.${from.number}` : '',
      ].filter(Boolean).join('; ');
      return el('tr', {}, el('td', {}, String(attempt.attempt)), el('td', {}, stateMark(attempt.outcome)), el('td', {}, attempt.worker_id),
        el('td', { class: 'number' }, started ? clockTime.format(started) : '–'), el('td', { class: 'number' }, ended ? shortDuration(ended - started) : '–'),
        el('td', { class: 'why' }, words));
    });
    this.parts.attempts.replaceChildren(
      el('h3', {}, 'Attempts', el('small', {}, attempts.length ? '' : 'none yet')),
      ...(rows.length ? [this.history('Attempts', ['No.', 'Outcome', 'Worker', 'Began', 'Took', 'Why'], rows)] : []));
  },

  renderCheckpoints(task) {
    const checkpoints = task.checkpoints ?? [];
    const rows = [...checkpoints].reverse().map(checkpoint => el('tr', {},
      el('td', {}, `${checkpoint.attempt}.${checkpoint.number}`), el('td', {}, clockTime.format(milliseconds(checkpoint.created_at))),
      el('td', { class: 'number' }, `${number(checkpoint.bytes)} B`), el('td', {}, el('code', {}, this.data.get(checkpoint.id) ?? ''))));
    this.parts.checkpoints.replaceChildren(
      el('h3', {}, 'Checkpoints', el('small', {}, checkpoints.length ? 'the newest first' : 'none')),
      ...(rows.length ? [this.history('Checkpoints', ['No.', 'Taken', 'Size', 'Data'], rows)] : []));
  },

  history(label, names, rows) {
    return el('div', { class: 'scroller' }, el('table', { class: 'history', 'aria-label': label },
      el('thead', {}, el('tr', {}, ...names.map(name => el('th', { scope: 'col', class: ['Began', 'Took', 'Size'].includes(name) ? 'number' : null }, name)))),
      el('tbody', {}, ...rows)));
  },

  // Output

  showStream(stream) {
    this.stream = stream;
    for (const [name, chip] of this.parts.streams) setAttribute(chip, 'aria-pressed', String(name === stream));
    this.startLog();
  },

  stopLog() {
    this.log?.control.abort();
    this.log = null;
  },

  async startLog() {
    this.stopLog();
    const log = this.log = { control: new AbortController(), waiting: '', length: 0, ended: false };
    const { parts, stream, id } = this;
    parts.log.replaceChildren();
    setText(parts.logState, 'loading');
    const say = text => { if (this.log === log) setText(parts.logState, text); };
    try {
      const response = await ask(taskPath(id, '/logs'), { query: { stream, follow: 'true' }, signal: log.control.signal, accept: 'text/plain' });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      say('live');
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        log.waiting = (log.waiting + value).slice(-LIMITS.logCharacters);
        schedule();
      }
      log.ended = true;
      say(log.length + log.waiting.length ? 'to its end' : 'nothing was written');
      schedule();
    } catch (error) {
      if (log.control.signal.aborted) return;
      log.ended = log.isBroken = true;
      say(`broken off: ${error.message}`);
    }
  },

  renderLog() {
    const { log, parts } = this;
    if (!log?.waiting) return;
    const pre = parts.log;
    const text = log.waiting;
    log.waiting = '';
    log.length += text.length;
    pre.append(text);
    while (log.length > LIMITS.logCharacters && pre.childNodes.length > 1) {
      log.length -= pre.firstChild.data.length;
      pre.firstChild.remove();
    }
    if (this.follows) pre.scrollTop = pre.scrollHeight;
  },
};
// The page as a whole: when to draw, what stands at the top, and the theme.

// How long updates took: what events did to the model since the last drawing, and the drawing with its layout and paint.
const statistics = {
  pending: 0, updates: [], events: 0, frame: new MessageChannel(),
  applied(ms) { this.pending += ms; this.events += 1; },
  drawn(began) {
    const applied = this.pending;
    this.pending = 0;
    const script = performance.now() - began;
    // A message is handled once the frame was laid out and painted.
    this.frame.port1.onmessage = () => {
      const ms = applied + performance.now() - began;
      this.updates.push({ ms, script: script + applied });
      if (this.updates.length > LIMITS.statistics) this.updates.shift();
      if (this.keepsMarks) performance.measure('update', { start: began, duration: ms });
    };
    this.frame.port2.postMessage(0);
  },
  summary() {
    const of = key => this.updates.map(update => update[key]).sort((a, b) => a - b);
    const [total, script] = [of('ms'), of('script')];
    return {
      updates: total.length, medianMs: median(total) ?? 0, worstMs: total.at(-1) ?? 0, medianScriptMs: median(script) ?? 0, worstScriptMs: script.at(-1) ?? 0,
      tasks: model.tasks.size, workers: model.workers.size,
    };
  },
};
window.lifelineStatistics = { get summary() { return statistics.summary(); }, reset() { statistics.updates = []; } };

let scheduled = null;
let drawnAt = 0;

// At most four times a second for news; for what a person does, at the next frame.
function schedule(now = false) {
  if (scheduled === 'frame' || (scheduled !== null && !now)) return;
  if (scheduled !== null) clearTimeout(scheduled);
  const frame = () => { scheduled = 'frame'; requestAnimationFrame(draw); };
  const wait = now ? 0 : LIMITS.renderEveryMs - (performance.now() - drawnAt);
  if (wait <= 0) frame(); else scheduled = setTimeout(frame, wait);
}

function draw() {
  scheduled = null;
  const began = drawnAt = performance.now();
  renderLink();
  renderFigures();
  renderPlots();
  renderQueue();
  workers.render();
  tasks.render();
  detail.render();
  detail.renderLog();
  statistics.drawn(began);
}

function renderLink() {
  const link = $('link');
  setAttribute(link, 'data-link', live.state);
  setAttribute(link, 'title', live.problem ? `Lost last because: ${live.problem}` : null);
  const wait = live.retryAt ? Math.max(0, Math.ceil((live.retryAt - Date.now()) / 1_000)) : 0;
  setText($('link-text'), { live: 'Live', connecting: 'Connecting', lost: wait ? `Connection lost, again in ${wait} s` : 'Connection lost, trying again' }[live.state]);
  const notice = $('notice');
  const text = live.state === 'lost' ? `What you see is from before: ${live.problem}. The page goes on trying.` : '';
  notice.hidden = !text;
  setText(notice, text);
  const overview = model.overview;
  setText($('about'), overview ? `${location.host} · ${overview.version} · up ${duration(overview.uptime_s * 1_000)}` : '');
  setText(titleElement, overview && live.state === 'live' ? `${number(overview.tasks?.running ?? 0)} running · Lifeline` : 'Lifeline');
}
const titleElement = document.querySelector('title');

const figures = new Map();
function figure(name, value, unit, hint, tone = '') {
  let parts = figures.get(name);
  if (!parts) {
    parts = { box: el('div', { class: 'figure' }), value: el('span', {}), unit: el('small', {}), hint: el('dd', { class: 'hint' }) };
    parts.box.append(el('dt', {}, name), el('dd', { class: 'value' }, parts.value, ' ', parts.unit), parts.hint);
    $('figures').append(parts.box);
    figures.set(name, parts);
  }
  setText(parts.value, value);
  setText(parts.unit, unit);
  setText(parts.hint, hint);
  setAttribute(parts.box, 'data-tone', tone);
}

function recentRate(spanMs = 10_000) {
  const since = model.now() - spanMs;
  const recent = model.seconds.filter(second => second.at >= since);
  return recent.length ? recent.reduce((sum, second) => sum + second.ended, 0) / recent.length : 0;
}

function renderFigures() {
  const overview = model.overview;
  const counts = overview?.tasks ?? {};
  const totals = overview?.totals ?? {};
  const { connected = 0, known = 0 } = overview?.workers ?? {};
  let slots = 0;
  for (const worker of model.workers.values()) if (worker.state !== 'lost') slots += worker.slots;
  const running = (counts.running ?? 0) + (counts.assigned ?? 0);
  const lines = Object.values(overview?.queue ?? {});
  const oldest = Math.max(-1, ...lines.map(line => line.oldest_s ?? -1));
  const peak = Math.max(0, ...binned(model.seconds, second => second.ended).map(bin => bin?.[1] ?? 0));
  const failing = model.seconds.reduce((sum, second) => sum + (second.at >= model.now() - model.windowMs ? second.failed : 0), 0);
  const minutes = model.windowMs / 60_000;
  const firstCount = model.reconnections[0]?.count ?? 0;
  const back = Math.max(0, (totals.reconnections ?? 0) - firstCount);
  const trip = model.roundTrips.at(-1);
  figure('Workers', number(connected), `of ${number(known)}`, known > connected ? `${number(known - connected)} away` : known ? 'all connected' : 'none yet', known > connected ? 'warn' : '');
  figure('Running', number(running), slots ? `of ${plural(slots, 'slot')}` : '', counts.paused ? `${number(counts.paused)} paused` : slots ? `${Math.round((running / slots) * 100)} % busy` : '');
  figure('Queued', number(counts.queued), '', oldest >= 0 ? `oldest ${duration(oldest * 1_000)}` : 'nothing waits');
  figure('Throughput', rate(recentRate()), '/s', peak > 0 ? `at most ${rate(peak)}/s` : '');
  figure('Failed', number(counts.failed), '', failing >= 0.5 ? `${number(Math.round(failing))} in ${minutes} min` : `none in ${minutes} min`, failing >= 0.5 ? 'bad' : '');
  figure('Reconnections', number(totals.reconnections), '', back ? `${number(back)} since opened` : 'none since opened');
  figure('Round trip', trip ? duration(trip.median).split(' ')[0] : '–', trip ? duration(trip.median).split(' ')[1] : '', trip ? `slowest ${duration(trip.worst)}` : '');
}

let plottedAt = 0;
function renderPlots() {
  // Their bins are seconds wide; once a second is plenty.
  const shape = `${throughputPlot.size?.width}:${rttPlot.size?.width}:${model.windowMs}`;
  if (shape === renderPlots.shape && performance.now() - plottedAt < 950) return;
  renderPlots.shape = shape;
  plottedAt = performance.now();
  const ended = binned(model.seconds, second => second.ended);
  const failed = binned(model.seconds, second => second.failed);
  const recent = recentRate();
  const minutes = model.windowMs / 60_000;
  throughputPlot.draw({ main: ended, second: failed, label: `Tasks ended per second over the last ${minutes} minutes, now ${rate(recent)}` });
  const medians = binned(model.roundTrips, sample => sample.median);
  const highs = binned(model.roundTrips, sample => sample.high);
  const trip = model.roundTrips.at(-1);
  rttPlot.draw({ main: medians, second: highs, label: trip ? `Round trip over the last ${minutes} minutes, now median ${duration(trip.median)}, 95th percentile ${duration(trip.high)}` : 'Round trip, not measured yet' });
}

const queueRows = new Map();
function renderQueue() {
  const queue = model.overview?.queue ?? {};
  const most = Math.max(1, ...Object.values(queue).map(line => line.waiting));
  let total = 0;
  for (const priority of PRIORITIES) {
    let parts = queueRows.get(priority);
    if (!parts) {
      parts = { row: el('tr'), waiting: el('td', { class: 'number' }), meter: meter(), oldest: el('td', { class: 'number' }) };
      parts.row.append(el('th', { scope: 'row' }, priority[0] + priority.slice(1).toLowerCase()), parts.waiting, el('td', { class: 'track' }, parts.meter), parts.oldest);
      $('queue').tBodies[0].append(parts.row);
      queueRows.set(priority, parts);
    }
    const line = queue[priority] ?? { waiting: 0, oldest_s: null };
    total += line.waiting;
    setText(parts.waiting, number(line.waiting));
    setText(parts.oldest, line.oldest_s == null ? '–' : duration(line.oldest_s * 1_000));
    setMeter(parts.meter, line.waiting / most);
    setAttribute(parts.row, 'data-none', line.waiting ? null : '');
  }
  setText($('queue-now'), total ? `${number(total)} waiting` : 'nothing waits');
}

const themes = ['system', 'light', 'dark'];
function setTheme(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = theme;
  $('theme-button').textContent = `Theme: ${theme}`;
  try { localStorage.setItem('lifeline-theme', theme); } catch { /* Then it is chosen anew each time. */ }
}

function storedTheme() {
  try { return localStorage.getItem('lifeline-theme'); } catch { return null; }
}

let theme = themes.includes(storedTheme()) ? storedTheme() : 'system';
setTheme(theme);
$('theme-button').addEventListener('click', () => setTheme(theme = themes[(themes.indexOf(theme) + 1) % themes.length]));
$('key-button').hidden = !keys.get();
$('key-button').addEventListener('click', () => { keys.set(''); location.reload(); });
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && detail.id && !document.querySelector('dialog[open]')) detail.close();
  // As elsewhere: a stroke leads to the search, unless one is writing.
  if (event.key === '/' && !event.target.matches('input, select, textarea')) { $('task-text').focus(); event.preventDefault(); }
});

$('throughput-now').append(el('span', { class: 'key-main' }), 'ended per second ', el('span', { class: 'key-second' }), 'failed');
$('rtt-now').append(el('span', { class: 'key-main' }), 'median ', el('span', { class: 'key-second' }), '95th percentile');
const throughputPlot = new Plot($('throughput-plot'), { area: true, unit: value => rate(value) });
const rttPlot = new Plot($('rtt-plot'), { unit: value => (value < 10_000 ? duration(value).replace('.0 ', ' ') : shortDuration(value)) });
const workers = new Workers();
const tasks = new Tasks();
setInterval(() => schedule(), 1_000);
schedule(true);
live.run();
const linked = /^#task=(.+)$/.exec(location.hash);
if (linked) detail.open(decodeURIComponent(linked[1]));
})();
"""#
  static let tail = #"""
</script>
</body>
</html>
"""#
}
