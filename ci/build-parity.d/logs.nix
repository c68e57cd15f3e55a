# Logs.
with import ./lib.nix;
{
  empty = run "log-empty" "echo > $out";
  lines = run "log-lines" "echo one; echo two >&2; echo three; echo > $out";
  no-final-newline = run "log-no-newline" "printf 'no end'; echo > $out";
  empty-lines = run "log-empty-lines" "printf '\\n\\n\\nx\\n\\n'; echo > $out";
  escapes = run "log-escapes" "printf '\\033[1;31mred\\033[0m \\033[2J\\033[Hcleared \\033]0;title\\007 \\033[?25l\\n'; echo > $out";
  carriage-returns = run "log-cr" "printf '10%%\\r50%%\\r100%%\\ndos\\r\\n\\r\\rx\\n'; echo > $out";
  carriage-return-last = run "log-cr-last" "printf 'abc\\r'; echo > $out";
  backspaces = run "log-backspace" "printf 'abc\\b\\bX\\tY\\fZ\\v\\n'; echo > $out";
  binary = run "log-binary" "i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %o $i)\"; i=$((i+1)); done; echo; echo > $out";
  zeros = run "log-zeros" "head -c 100 /dev/zero; echo end; echo > $out";
  not-utf-8 = run "log-latin1" "printf 'caf\\351 \\377\\376 \\302\\n'; echo > $out";
  long-line = run "log-long-line" "head -c 200000 /dev/zero | tr '\\0' x; echo; echo > $out";
  many-lines = run "log-many-lines" "seq 1 20000; echo > $out";
  no-terminal-of-lines = run "log-raw" "printf 'a\\nb\\n'; stty -a 2>&1 | head -n 20; echo > $out";
  interleaved = run "log-interleaved" "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done; echo > $out";
  background = run "log-background" "(sleep 0.5; echo late) & echo > $out; wait";
  phases = run "log-phases" "echo '@nix { \"action\": \"setPhase\", \"phase\": \"buildPhase\" }'; echo building; echo '@nix { \"action\": \"setPhase\", \"phase\": \"installPhase\" }'; echo > $out";
  messages = run "log-messages" "echo '@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"a message\"}'; echo '@nix {\"action\":\"start\",\"id\":1,\"level\":3,\"text\":\"t\",\"type\":101,\"fields\":[]}'; echo '@nix {\"action\":\"stop\",\"id\":1}'; echo '@nix {\"action\":\"result\",\"id\":1,\"type\":101,\"fields\":[\"x\"]}'; echo > $out";
  malformed-messages = run "log-malformed" "echo '@nix {'; echo '@nix not json'; echo '@nix'; echo '@nix []'; echo ' @nix {}'; echo '@nix {}'; echo '@nix {\"action\":7}'; echo x; echo > $out";
  phase-in-half-a-line = run "log-half-phase" "printf 'x@nix { \"action\": \"setPhase\", \"phase\": \"p\" }\\n'; printf '@nix { \"action\": \"setPhase\", \"phase\": \"p\" }'; echo > $out";
  by-file-descriptor = run "log-fd" "echo to the log >&$NIX_LOG_FD; echo to tty > /dev/tty || echo no tty; echo to stderr > /dev/stderr; echo to stdout > /dev/stdout; echo > $out";
  is-a-terminal = run "log-tty" "test -t 0 && echo 0; test -t 1 && echo 1; test -t 2 && echo 2; echo > $out";
  stdin-is-empty = run "log-stdin" "cat; read x || echo end; readlink /proc/1/fd/0 > $out";
  of-a-dependency = sh "log-user" { input = run "log-of-input" "echo said by the input; echo > $out"; } "echo said by the user; echo > $out";
  after-the-builder = run "log-after" "(setsid sh -c 'sleep 2; echo too late') > /dev/null 2>&1 & echo now; echo > $out";
}
