# What outputs may be, and what becomes of them.
with import ./lib.nix;
let a = run "output-input" "echo a > $out";
in
{
  file = run "output-file" "echo x > $out";
  empty-file = run "output-empty" ": > $out";
  executable = run "output-executable" "echo x > $out; chmod 755 $out";
  executable-for-others = run "output-executable-others" "mkdir $out; for m in 644 755 700 711 701 610 601 500 400 000 100 010 001; do echo $m > $out/$m; chmod $m $out/$m; done";
  symlink = run "output-symlink" "ln -s /somewhere $out";
  symlink-to-input = run "output-symlink-input" "ln -s ${a} $out";
  symlink-to-itself = run "output-symlink-self" "ln -s $out $out";
  folder = run "output-folder" "mkdir $out";
  links = run "output-links" "mkdir $out; cd $out; ln -s . here; ln -s ../up up; ln -s /build b; ln -s '' e 2>/dev/null || true; ln -s nowhere dangling; ln -s 'ü\n' odd";
  hard-links = run "output-hard-links" "mkdir $out; echo x > $out/a; ln $out/a $out/b; echo y > $out/c; chmod +x $out/c; ln $out/c $out/d";
  hard-links-across = failing 1 (sh "output-hard-links-across" { outputs = [ "out" "other" ]; } "echo x > $out; ln $out $other");
  modes-of-folders = run "output-folder-modes" "mkdir -p $out/a $out/b $out/c $out/d; chmod 700 $out/a; chmod 555 $out/b; chmod 1777 $out/c; chmod 711 $out/d";
  unreadable = run "output-unreadable" "mkdir -p $out/d; echo x > $out/f; echo y > $out/d/g; chmod 000 $out/f $out/d/g; chmod 000 $out/d";
  setuid = run "output-setuid" "echo x > $out; chmod u+s $out || echo refused; chmod g+s $out || echo refused; chmod 4755 $out || echo refused; chmod 1755 $out; ls -l $out | cut -c 1-10";
  setgid-folder = run "output-setgid" "mkdir $out; chmod g+s $out || echo refused; mkdir -m 2755 $out/d || echo refused; ls -la $out | cut -c 1-10";
  times = run "output-times" "mkdir $out; echo x > $out/f; touch -d '2001-02-03 04:05:06' $out/f $out; ln -s x $out/l; touch -h -d '2001-02-03 04:05:06' $out/l";
  names = run "output-names" ''
    mkdir $out; cd $out; touch -- -dash ' space ' ünicode '"' "'" '\' '*' '~' .hidden ...x a:b
    for n in 'new\nline' 'tab\t' 'latin\351' '\377\376' '\001'; do printf x > "$(printf "$n")"; done'';
  names-by-case = run "output-case" "mkdir $out; cd $out; echo 1 > a; echo 2 > A; echo 3 > Aa; echo 4 > aA; mkdir B b; echo 5 > B/x; echo 6 > b/X";
  long-names = run "output-long-names" "mkdir $out; cd $out; n=$(printf 'x%.0s' $(seq 1 255)); echo 1 > $n; mkdir d; ln -s $n d/$n";
  long-target = run "output-long-target" "ln -s $(printf 'y%.0s' $(seq 1 4000)) $out";
  sorted = run "output-sorted" "mkdir $out; cd $out; for n in b a.b a a-b a0 aa a_b A ab a+ 'a ' ä; do echo $n > \"$n\"; done";
  deep = run "output-deep" "mkdir $out; cd $out; i=0; while [ $i -lt 60 ]; do mkdir d; cd d; i=$((i+1)); done; echo bottom > f";
  too-deep = failing 1 (run "output-too-deep" "mkdir $out; cd $out; i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done; echo bottom > f");
  many = run "output-many" "mkdir $out; cd $out; i=0; while [ $i -lt 3000 ]; do echo $i > f$i; i=$((i+1)); done";
  many-folders = run "output-many-folders" "mkdir $out; cd $out; i=0; while [ $i -lt 400 ]; do mkdir -p d$i/e; : > d$i/e/f; i=$((i+1)); done";
  large = run "output-large" "yes 0123456789abcdef | head -c 67108865 > $out";
  sparse = run "output-sparse" "dd if=/dev/zero of=$out bs=1 count=1 seek=50000000 2>/dev/null; printf end >> $out";
  random-bytes = run "output-bytes" "i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %o $i)\"; i=$((i+1)); done > $out";
  sizes = run "output-sizes" "mkdir $out; cd $out; for n in 0 1 7 8 9 15 16 17 4095 4096 4097 65535 65536 65537 1048577; do head -c $n /dev/zero > $n; done";
  multiple = sh "output-multiple" { outputs = [ "out" "dev" "lib" "doc" ]; } "echo $dev > $out; mkdir $dev; ln -s $lib $dev/lib; echo ${a} > $lib; echo > $doc";
  no-out = sh "output-no-out" { outputs = [ "bin" "man" ]; } "echo $man > $bin; echo > $man";
  self-reference = run "output-self" "mkdir $out; echo $out > $out/f; ln -s $out/f $out/l";
  chain-of-outputs = sh "output-chain" { outputs = [ "a" "b" "c" ]; } "echo > $c; echo $c > $b; echo $b > $a";
  cycle = failing 1 (sh "output-cycle" { outputs = [ "out" "dev" ]; } "echo $dev > $out; echo $out > $dev");
  cycle-of-three = failing 1 (sh "output-cycle-3" { outputs = [ "a" "b" "c" ]; } "mkdir $a $b $c; echo $b > $a/f; echo $c > $b/g; echo $a > $c/h");
  missing = failing 1 (run "output-missing" "true");
  missing-one = failing 1 (sh "output-missing-one" { outputs = [ "out" "dev" ]; } "echo > $out");
  fifo = failing 1 (run "output-fifo" "mkfifo $out");
  fifo-inside = failing 1 (run "output-fifo-inside" "mkdir $out; mkfifo $out/f");
  device = failing 100 (run "output-device" "mknod $out c 1 3");
  writable-file = failing 1 (run "output-writable" "echo > $out; chmod 666 $out");
  writable-folder = failing 1 (run "output-writable-folder" "mkdir $out; chmod 777 $out");
  group-writable = failing 1 (run "output-group-writable" "mkdir $out; chmod 775 $out");
  writable-inside = run "output-writable-inside" "mkdir -p $out/d; echo > $out/f; chmod 666 $out/f; chmod 777 $out/d";
  undeclared-outputs-are-lost = run "output-undeclared" "echo > /nix/store/00000000000000000000000000000000-other; mkdir /nix/store/d; echo > $out";
  removed-and-made-again = run "output-removed" "mkdir $out; rmdir $out; echo x > $out";
  references-in-names = run "output-names-refer" "mkdir $out; touch $out/${builtins.substring 11 32 "${a}"}";
  references-in-links = run "output-links-refer" "mkdir $out; ln -s ${a} $out/l; ln -s x${builtins.substring 11 32 "${a}"}y $out/m";
  references-split = run "output-split" "mkdir $out; printf '${builtins.substring 11 20 "${a}"}' > $out/f; printf '${builtins.substring 31 12 "${a}"}' > $out/g";
  references-over-buffers = run "output-buffers" "h=${builtins.substring 11 32 "${a}"}; mkdir $out; for n in 65520 65535 32760 131060; do head -c $n /dev/zero > $out/$n; printf $h >> $out/$n; done";
  references-of-last-byte = run "output-last-byte" "h=${builtins.substring 11 31 "${a}"}; printf $h > $out";
  references-in-wide-letters = run "output-wide" "printf '%s' ${a} | sed 's/./&\\x00/g' > $out";
  references-compressed = run "output-compressed" "echo ${a} | gzip -n > $out";
  references-to-undeclared = run "output-undeclared-reference" "echo /nix/store/$(echo ${builtins.unsafeDiscardStringContext "${text "never-an-input" "n"}"} | cut -c 12-) > $out";
  references-to-the-derivation = run "output-drv-reference" "echo ${(run "output-a-drv" "echo > $out").drvPath} > $out";
  xattr = run "output-xattr" "echo > $out; setfattr -n user.x -v y $out 2>&1 || true";
  acl-like-owner = run "output-chown" "echo > $out; chown 1000:100 $out; chown 0 $out 2>&1 || echo refused; chgrp 1 $out 2>&1 || echo refused";
}
