/// The look of a report, inline in its page: light and dark, on a telephone, a wall and paper.
enum StyleSheet {
  static let text: HTML = """
    :root{color-scheme:light dark;--bg:#fff;--fg:#1c2127;--soft:#57606a;--line:#d8dee4;--card:#f6f8fa;--link:#0757ba;
    --good:#116329;--goodbg:#dcf5e1;--bad:#a40e26;--badbg:#ffe4e4;--band:#bf8700;
    --s0:#0b62a8;--s1:#c2410c;--s2:#0f766e;--s3:#a21caf;--s4:#7a4a05;--s5:#475569}
    @media (prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6ebf0;--soft:#a0abb8;--line:#303841;--card:#181e25;
    --link:#7ab8ff;--good:#7ee29a;--goodbg:#10331c;--bad:#ff9a9a;--badbg:#471318;--band:#e3b341;
    --s0:#6cb6ff;--s1:#ffa657;--s2:#4fd1c5;--s3:#e38bff;--s4:#e3c341;--s5:#a8b3c2}}
    *{box-sizing:border-box}
    body{margin:0;background:var(--bg);color:var(--fg);font:1rem/1.5 system-ui,sans-serif}
    header,main,footer{max-width:108rem;margin:0 auto;padding:0 1.25rem}
    header{padding-top:1.25rem}
    .flow{max-width:72rem}
    h1{font-size:1.6rem;line-height:1.25;margin:0 0 .75rem;overflow-wrap:anywhere}
    h2{font-size:1.25rem;margin:2.25rem 0 .6rem}h3{font-size:1.05rem;margin:0 0 .25rem}
    h3 small{font-weight:400;color:var(--soft);font-size:.9em}
    a{color:var(--link)}
    a:focus-visible,[tabindex]:focus-visible{outline:3px solid var(--link);outline-offset:2px}
    .verdict{display:inline-block;margin:0 .75rem .5rem 0;padding:.25rem .9rem;border:2px solid;border-radius:.4rem;
    font-size:1.25rem;font-weight:700;letter-spacing:.04em}
    .passed{color:var(--good);background:var(--goodbg)}.failed{color:var(--bad);background:var(--badbg)}
    .why{display:inline-block;margin:0 0 .5rem}
    pre{margin:.25rem 0;padding:.7rem .9rem;background:var(--card);border:1px solid var(--line);border-radius:.4rem;
    font:.92rem/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
    .facts{color:var(--soft);margin:.5rem 0 0}
    .violations{border:2px solid var(--bad);border-radius:.4rem;padding:0 1.1rem .6rem;margin-top:1.5rem}
    .violations h2{margin-top:.8rem;color:var(--bad)}
    li{overflow-wrap:anywhere}.word{white-space:nowrap}
    .scroll{overflow-x:auto}
    table{border-collapse:collapse;width:100%;font-size:.95rem}
    th,td{text-align:left;vertical-align:top;padding:.35rem .7rem;border-bottom:1px solid var(--line);
    overflow-wrap:break-word}
    thead th{color:var(--soft);font-weight:600;border-bottom-width:2px}
    tbody th{font-weight:600}
    .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
    .state{font-weight:700;white-space:nowrap}.met{color:var(--good)}.unmet{color:var(--bad)}
    tr.row-bad>*{background:var(--badbg)}
    .plots{display:grid;gap:1.5rem 2rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,44rem),1fr))}
    figure{margin:0;padding:.9rem 1rem;background:var(--card);border:1px solid var(--line);border-radius:.5rem;
    min-width:0;break-inside:avoid}
    .plot{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}.narrow{display:none}
    .grid{stroke:var(--line);fill:none}.axis{stroke:var(--soft);fill:none}
    .tick{fill:var(--soft)}.mark{fill:var(--fg);font-size:11.5px}
    .band{fill:var(--band);opacity:.22}.edge{stroke:var(--band);stroke-dasharray:2 2;fill:none}
    .line{fill:none;stroke-width:2;stroke-linejoin:round}.dot{stroke:none}
    .s0{stroke:var(--s0)}.s1{stroke:var(--s1);stroke-dasharray:7 3}.s2{stroke:var(--s2);stroke-dasharray:2 3}
    .s3{stroke:var(--s3);stroke-dasharray:9 3 2 3}.s4{stroke:var(--s4);stroke-dasharray:14 4}
    .s5{stroke:var(--s5);stroke-dasharray:4 5}
    .dot.s0{fill:var(--s0)}.dot.s1{fill:var(--s1)}.dot.s2{fill:var(--s2)}.dot.s3{fill:var(--s3)}
    .dot.s4{fill:var(--s4)}.dot.s5{fill:var(--s5)}
    .key{width:2.6rem;height:.6rem;margin-right:.5rem;vertical-align:middle}
    figure table{font-size:.84rem}
    footer{margin-top:2.5rem;padding-bottom:2rem;color:var(--soft);font-size:.9rem}
    .skip{position:absolute;left:-99rem}.skip:focus{position:static}
    @media (max-width:40rem){header,main,footer{padding-left:.9rem;padding-right:.9rem}figure{padding:.7rem .5rem}
    .wide{display:none}.narrow{display:block}th,td{padding:.3rem .3rem;hyphens:auto}
    td:not(.n){overflow-wrap:anywhere}h1{font-size:1.3rem}table{font-size:.84rem}
    figure table{font-size:.82rem}.key{width:1.6rem}}
    @media (min-width:150rem){html{font-size:1.3rem}.tick{font-size:14.5px}.mark{font-size:12.5px}}
    @media print{:root{color-scheme:light;--bg:#fff;--fg:#000;--soft:#333;--line:#bbb;--card:#fff;--link:#000;
    --good:#0a4d1c;--goodbg:#fff;--bad:#8a0018;--badbg:#fff;--band:#8a6100;
    --s0:#0b62a8;--s1:#c2410c;--s2:#0f766e;--s3:#a21caf;--s4:#7a4a05;--s5:#475569}
    body{font-size:10pt}.plots{display:block}figure{margin-bottom:1rem}.wide{display:block}.narrow,.skip{display:none}
    h2{break-after:avoid}tr{break-inside:avoid}}
    """
}
