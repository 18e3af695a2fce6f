/// How a value is written where texts and numbers are told apart, as in a configuration file.
public enum ValueForm: Sendable, Equatable {
  case text
  case integer
  case number
  /// A text with a unit, or a number of seconds.
  case duration
  /// `NAME=VALUE`
  case pair
  /// A flag: true or false.
  case boolean
}

/// What a shell can offer to complete a value with.
public enum ValueHint: Sendable, Equatable {
  case anything
  case words([String])
  case file
  case folder
  /// The first column of what this subcommand prints.
  case listed(by: String)

  /// The convention of all commands: FILE and DIR stand for names of files and of folders.
  func completed(by placeholder: String?) -> ValueHint {
    switch (self, placeholder) {
    case (.anything, "FILE"): .file
    case (.anything, "DIR"): .folder
    default: self
    }
  }
}
