public import ArgumentParsing

/// A script that teaches bash a program's commands, options and values, written from their declarations.
public struct BashCompletion: Sendable {
  private let root: Command
  /// Options for the commands that list what there is, where these have them: they must answer soon.
  private let listingOptions: [(name: String, value: String)]

  public init(of root: Command, listingOptions: [(name: String, value: String)]) {
    self.root = root
    self.listingOptions = listingOptions
  }

  public var text: String {
    let function = "_\(root.name.replacing("-", with: "_"))"
    return """
      # bash completion for \(root.name)(1), written by \(root.name) docs completion bash from the declarations of the options.

      # The commands within a command.
      \(function)_commands() {
          case $1 in
      \(cases { $0.subcommands.map(\.name) })
          esac
      }

      # The options of a command.
      \(function)_options() {
          case $1 in
      \(optionCases)
          esac
      }

      # What the value of an option is, or of an argument by its number; fails for an option that takes none.
      \(function)_value() {
          case "$1 $2" in
      \(valueCases)
          *) return 1 ;;
          esac
      }

      # The first column of what a command lists. A coordinator that does not answer soon is not waited for.
      \(function)_listed() {
          local program=$1
          case $2 in
      \(listingCases)
          *) return ;;
          esac
          # The first line is the table's head.
          timeout 2 "$program" "$@" 2>/dev/null </dev/null | {
              read -r _
              while read -r word _; do echo "$word"; done
          }
      }

      \(function)() {
          local IFS=$' \\t\\n' cur=${COMP_WORDS[COMP_CWORD]} path=\(root.name) index=1 count=0 option= word kind value
          COMPREPLY=()
          while ((index < COMP_CWORD)); do
              word=${COMP_WORDS[index]}
              ((index += 1))
              if [[ $word == -- ]]; then
                  # What is handed on to another program is that program's.
                  compopt -o default 2>/dev/null
                  return
              elif [[ $word == -* ]]; then
                  \(function)_value "$path" "$word" >/dev/null || continue
                  # Bash takes an equals sign and a colon for words.
                  if [[ ${COMP_WORDS[index]} == '=' ]] && ((index < COMP_CWORD)); then ((index += 1)); fi
                  if ((index >= COMP_CWORD)); then
                      option=$word
                  else
                      ((index += 1))
                      while ((index < COMP_CWORD)) && [[ ${COMP_WORDS[index]} == : || ${COMP_WORDS[index - 1]} == : ]]; do
                          ((index += 1))
                      done
                  fi
              elif [[ -n $(\(function)_commands "$path") ]]; then
                  path="$path $word"
              else
                  ((count += 1))
              fi
          done
          [[ $cur == '=' ]] && cur=
          if [[ -z $option && $cur == -* ]]; then
              COMPREPLY=($(compgen -W "$(\(function)_options "$path")" -- "$cur"))
              return
          fi
          if [[ -z $option ]]; then
              COMPREPLY=($(compgen -W "$(\(function)_commands "$path")" -- "$cur"))
              [[ ${#COMPREPLY[@]} -eq 0 ]] || return
              kind=$(\(function)_value "$path" "$count") || kind=$(\(function)_value "$path" '*') || return
          else
              kind=$(\(function)_value "$path" "$option")
          fi
          value=${kind#* }
          case $kind in
          words\\ *)
              COMPREPLY=($(compgen -W "$value" -- "$cur"))
              # Words in capitals may be typed in small letters.
              if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
                  COMPREPLY=($(compgen -W "$value" -- "$(tr '[:lower:]' '[:upper:]' <<<"$cur")"))
              fi
              ;;
          listed\\ *) COMPREPLY=($(compgen -W "$(\(function)_listed "${COMP_WORDS[0]}" "$value")" -- "$cur")) ;;
          file | folder)
              local IFS=$'\\n'
              compopt -o filenames 2>/dev/null
              if [[ $kind == file ]]; then COMPREPLY=($(compgen -f -- "$cur")); else COMPREPLY=($(compgen -d -- "$cur")); fi
              ;;
          esac
      }

      complete -F \(function) \(root.name)

      """
  }

  /// One line of a `case` for each command for which there is something to print.
  private func cases(_ words: (Command) -> [String]) -> String {
    lines(root.tree.map { path, command in (path.joined(separator: " "), words(command)) })
  }

  private var optionCases: String {
    lines(
      root.tree.map { path, _ in
        let words = options(of: path).flatMap {
          $0.isNegatable ? ["--\($0.name)", "--no-\($0.name)"] : ["--\($0.name)"]
        }
        return (path.joined(separator: " "), words + ["--help", "--version"])
      })
  }

  private func lines(_ entries: [(key: String, words: [String])]) -> String {
    entries.filter { !$0.words.isEmpty }.map { entry in
      "    \(Self.quoted(entry.key))) echo \(Self.quoted(entry.words.joined(separator: " "))) ;;"
    }.joined(separator: "\n")
  }

  /// The command's own options and those of the commands above it.
  private func options(of path: [String]) -> [OptionDefinition] {
    root.tree.filter { path.starts(with: $0.path) }.flatMap { $0.command.options }
  }

  /// Places with the same answer share a line.
  private var valueCases: String {
    var order: [String] = []
    var keys: [String: [String]] = [:]
    func add(_ key: String, _ hint: ValueHint) {
      let answer = Self.answer(hint)
      if keys[answer] == nil { order.append(answer) }
      keys[answer, default: []].append(Self.quoted(key))
    }
    for (path, command) in root.tree {
      let name = path.joined(separator: " ")
      for option in options(of: path) where !option.isFlag { add("\(name) --\(option.name)", option.hint) }
      for (index, argument) in command.arguments.map(\.definition).enumerated() {
        add("\(name) \(argument.isRepeatable ? "*" : "\(index)")", argument.hint)
      }
    }
    return order.map { answer in
      "    \((keys[answer] ?? []).joined(separator: " | \\\n        "))) echo \(Self.quoted(answer)) ;;"
    }.joined(separator: "\n")
  }

  private var listingCases: String {
    var names: Set<String> = []
    for (path, command) in root.tree {
      for hint in options(of: path).map(\.hint) + command.arguments.map(\.definition.hint) {
        if case .listed(let name) = hint { names.insert(name) }
      }
    }
    return names.sorted().map { name in
      let declared = root.subcommands.first { $0.name == name }?.options.map(\.name) ?? []
      let options = listingOptions.filter { declared.contains($0.name) }.map {
        " --\($0.name) \(Self.quoted($0.value))"
      }
      return "    \(Self.quoted(name))) set -- \(Self.quoted(name))\(options.joined()) ;;"
    }.joined(separator: "\n")
  }

  private static func answer(_ hint: ValueHint) -> String {
    switch hint {
    case .anything: "anything"
    // Others would be taken apart or for patterns.
    case .words(let words): "words " + words.filter { $0.utf8.allSatisfy(isPlain) }.joined(separator: " ")
    case .file: "file"
    case .folder: "folder"
    case .listed(let name): "listed \(name)"
    }
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    let scalar = Character(Unicode.Scalar(byte))
    return byte < 0x80 && (scalar.isLetter || scalar.isNumber || "_-.+:/@%,".contains(scalar))
  }

  private static func quoted(_ text: String) -> String { "'\(text.replacing("'", with: "'\\''"))'" }
}
