// Messages, close codes, configuration and errors are the core's; a user of this module needs no second import.
@_exported public import WebSocketCore
