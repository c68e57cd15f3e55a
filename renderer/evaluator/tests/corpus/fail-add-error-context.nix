builtins.addErrorContext "some context" (throw "inner")
