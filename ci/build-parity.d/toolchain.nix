# Programs of C. The toolchain is a fixed input: ci/build-toolchain packs it, NIPHAS_PARITY_TOOLCHAIN names its folder.
with import ./lib.nix;
let
  toolchain = builtins.path { path = builtins.getEnv "NIPHAS_PARITY_TOOLCHAIN"; name = "toolchain"; };
  gcc = "${toolchain}/bin/gcc";
  hello = text "hello.c" ''
    #include <stdio.h>
    int main(void) { printf("hello from %s, line %d\n", __FILE__, __LINE__); return 0; }
  '';
  c = name: script: run "c-${name}" "export PATH=${toolchain}/bin; ${script}";
  library = c "library" ''
    mkdir -p $out/lib $out/include
    echo 'int twice(int);' > $out/include/twice.h
    echo 'int twice(int x) { return 2 * x; }' > twice.c
    gcc -O2 -fPIC -shared -o $out/lib/libtwice.so twice.c
    gcc -O2 -c twice.c; ${toolchain}/bin/ar rcsD $out/lib/libtwice.a twice.o'';
  user = "printf '#include <twice.h>\\n#include <stdio.h>\\nint main(void) { printf(\"%%d\\\\n\", twice(21)); return 0; }\\n' > user.c";
in
{
  static = c "static" "gcc -static -O2 -o $out ${hello}; $out";
  dynamic = c "dynamic" "mkdir -p $out/bin; cd $out/bin; gcc -O2 -o hello ${hello}; ./hello";
  debug = c "debug" "mkdir $out; cp ${hello} hello.c; gcc -g -O1 -c -o $out/hello.o hello.c; strip -g -o $out/stripped.o $out/hello.o";
  macros = c "macros" "gcc -E -dM -x c /dev/null | sort > $out";
  version = c "version" "gcc --version > $out; ld --version >> $out; as --version >> $out; make --version >> $out";
  assembly = c "assembly" "gcc -S -O2 -o $out ${hello}";
  inherit library;
  with-shared-library = c "with-shared" "${user}; mkdir $out; gcc -I${library}/include -L${library}/lib -Wl,-rpath,${library}/lib -o $out/user user.c -ltwice; $out/user";
  with-static-library = c "with-static" "${user}; mkdir $out; gcc -I${library}/include -o $out/user user.c ${library}/lib/libtwice.a; $out/user";
  made = c "made" ''
    for n in 1 2 3 4 5 6 7 8; do echo "int f$n(void) { return $n; }" > f$n.c; done
    echo 'int f1(void), f8(void); int main(void) { return f1() + f8() - 9; }' > main.c
    printf 'all: main\nmain: main.o f1.o f2.o f3.o f4.o f5.o f6.o f7.o f8.o\n\tgcc -static -o $@ $^\n%%.o: %%.c\n\tgcc -O2 -c -o $@ $<\n' > Makefile
    make -j$NIX_BUILD_CORES SHELL=/bin/sh; ./main; mkdir $out; cp main $out/'';
  floating = sh "c-floating" floating "export PATH=${toolchain}/bin; mkdir -p $out/bin; printf '#include <stdio.h>\\nint main(void) { puts(\"'$out'\"); return 0; }\\n' > m.c; gcc -static -o $out/bin/self m.c; $out/bin/self | cut -c 1-11";
  compile-error = failing 100 (c "error" "echo 'int main(void) { return undeclared; }' > m.c; gcc -c m.c");
  # What the kernel answers to a program, one call a line.
  probe = c "probe" "gcc -O1 -static -D_GNU_SOURCE -o probe ${./probe.c}; ./probe > $out; cat $out";
}
