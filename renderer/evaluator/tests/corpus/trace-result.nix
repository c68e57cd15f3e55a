[ (builtins.trace "message" 1) (builtins.trace { a = 1; } 2) (builtins.traceVerbose "hidden" 3) (builtins.warn "warned" 4) (builtins.addErrorContext "context" 5) (builtins.break 6) ]
