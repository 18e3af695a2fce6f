// CoordinationCore
