import ArgumentParsing
import Configuration
import Glibc
import Reactor

/// Where the configuration file is found.
///
/// Not in the current folder: whoever enters a folder that somebody else filled, a cloned repository say, would otherwise
/// send commands and keys' proofs to the coordinator that the folder names. `--config lifeline.toml` reads such a file.
enum ConfigurationPlace {
  static let file = Option(
    "config", optional: .string, as: "FILE",
    whenMissing: "$XDG_CONFIG_HOME/lifeline/config.toml, ~/.config/lifeline/config.toml or /etc/lifeline/config.toml",
    "The TOML file in which every option can stand; lifeline config explains it.")

  /// What the manual says of them, first to last.
  static let described = [
    ("--config FILE", "Named on the command line; an error if it is missing."),
    ("$LIFELINE_CONFIG", "Named by a variable; an error if it is missing."),
    (
      "$XDG_CONFIG_HOME/lifeline/config.toml",
      "The user's own; ~/.config/lifeline/config.toml unless the variable is set."
    ),
    ("/etc/lifeline/config.toml", "The machine's."),
  ]

  /// The file that counts for a command line; `nil` if there is none.
  static func file(
    for reading: CommandLineReading, _ variables: [String: String]
  ) throws(ConfigurationFailure) -> ConfigurationFile? {
    let place = reading.places.first { $0.option.name == file.definition.name && $0.path.count == 1 }
    let named = place.flatMap { reading.given($0, environment: variables).texts.last }
    guard let path = path(named: named, variables) else { return nil }
    return try read(path, variables)
  }

  static func path(named: String?, _ variables: [String: String]) -> String? {
    if let named { return named }
    var candidates: [String] = []
    // A relative one counts as none: its meaning would change from folder to folder.
    if let folder = variables["XDG_CONFIG_HOME"], folder.hasPrefix("/") {
      candidates.append("\(folder)/lifeline/config.toml")
    } else if let home = variables["HOME"], home.hasPrefix("/") {
      candidates.append("\(home)/.config/lifeline/config.toml")
    }
    candidates.append("/etc/lifeline/config.toml")
    return candidates.first { path in
      var status = stat()
      // SAFETY: stat fills the local it is given. A folder that is closed to us, as a service's home is, holds no file.
      return unsafe stat(path, &status) == 0
    }
  }

  static func read(_ path: String, _ variables: [String: String]) throws(ConfigurationFailure) -> ConfigurationFile {
    // SAFETY: the path lives for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ConfigurationFailure(path: path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    // SAFETY: fstat fills the local it is given; it is asked of what was opened, which nobody can exchange meanwhile.
    guard unsafe fstat(descriptor, &status) == 0 else { throw ConfigurationFailure(path: path, code: errno) }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw ConfigurationFailure(path: path, code: EISDIR) }
    guard let bytes = StandardInput.read(from: descriptor, maxBytes: ConfigurationFile.maxBytes) else {
      throw ConfigurationFailure(path: path, code: EFBIG)
    }
    return ConfigurationFile(
      ConfigurationFile.Source(
        path: path, bytes: bytes, isPrivate: status.st_mode & 0o077 == 0, home: variables["HOME"]),
      for: Subcommands.root)
  }
}

/// A configuration file that cannot be read.
struct ConfigurationFailure: Error, CustomStringConvertible {
  let path: String
  let code: Int32

  var description: String {
    "lifeline: the configuration file \(path) cannot be read: \(SystemError.message(of: code)); "
      + "name another by --config or LIFELINE_CONFIG, or /dev/null for none"
  }
}
