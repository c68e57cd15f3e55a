# A small tree of packages, from sources of Debian's source packages: a C library, a compiler that compiles itself, a shell with its
# tools, and programs that only these built make. NIPHAS_BOOTSTRAP_SOURCES names the folder of the archives,
# NIPHAS_PARITY_TOOLCHAIN that of Debian's toolchain, which builds the first of them.
let
  system = "x86_64-linux";
  sources = builtins.getEnv "NIPHAS_BOOTSTRAP_SOURCES";
  source = name: builtins.path { path = "${sources}/${name}"; inherit name; };
  toolchain = builtins.path { path = builtins.getEnv "NIPHAS_PARITY_TOOLCHAIN"; name = "toolchain"; };

  build = name: attributes: script: derivation ({
    inherit name system;
    builder = "/bin/sh";
    args = [ "-euc" ''
      unpack() { mkdir source; cd source; case $1 in *.gz) zcat $1;; *) bzcat $1;; esac | tar x; [ $(ls | wc -l) != 1 ] || cd *; }
      ${script}'' ];
  } // attributes);

  # Make runs what it can without a shell: /bin/sh by the names of its tools.
  tools = build "tools" { } ''
    mkdir -p $out/bin
    for tool in awk basename cat chmod cmp comm cp cut date dirname echo env expr false find grep egrep fgrep head hostname id install ln ls mkdir mktemp mv \
      od printf pwd readlink rm rmdir sed sh sleep sort stat tail tar tee test touch tr true uname uniq wc which xargs yes diff sha256sum; do
      ln -s /bin/sh $out/bin/$tool
    done'';

  # By Debian's compiler, with what stands for it in each configure script.
  first = name: script: build name { PATH = "${tools}/bin:${toolchain}/bin"; AR = "${toolchain}/bin/ar"; CONFIG_SHELL = "/bin/sh"; } script;

  musl = first "musl-1.2.3" ''
    unpack ${source "musl.tar.gz"}
    ./configure --prefix=$out --disable-shared CC=gcc
    make -j$NIX_BUILD_CORES AR=$AR RANLIB=${toolchain}/bin/ranlib
    make install AR=$AR'';

  # Links with musl, and with nothing of Debian's but libgcc.
  gcc-musl = build "gcc-musl" { } ''
    mkdir -p $out/bin
    cat > $out/bin/gcc <<EOF
    #!/bin/sh
    link="${musl}/lib/crt1.o ${musl}/lib/crti.o"; end="-x none ${toolchain}/lib/gcc/libgcc.a ${musl}/lib/libc.a ${musl}/lib/crtn.o"
    for a; do case \$a in -c|-S|-E|-M|-MM|-r) link= end= ;; esac; done
    exec ${toolchain}/lib/ld-linux-x86-64.so.2 --library-path ${toolchain}/lib --argv0 ${toolchain}/bin/gcc ${toolchain}/libexec/gcc \
      -B${toolchain}/bin/ -fno-use-linker-plugin -nostdinc -isystem ${musl}/include -isystem ${toolchain}/lib/gcc/include -isystem ${headers} \
      -L${musl}/lib -nostdlib -static -fno-pie -no-pie \$link "\$@" \$end
    EOF
    chmod +x $out/bin/gcc
    ln -s gcc $out/bin/cc'';

  # The kernel's own headers.
  headers = build "linux-headers" { } "mkdir $out; for d in linux asm asm-generic mtd scsi; do cp -r ${toolchain}/include/$d $out/; done";

  with-musl = name: script: build name { PATH = "${tools}/bin:${gcc-musl}/bin:${toolchain}/bin"; AR = "${toolchain}/bin/ar"; } script;

  tcc-by-gcc = with-musl "tcc-by-gcc" (tcc "gcc");
  # The compiler by itself: its first output compiles the second.
  tcc-by-tcc = build "tcc-by-tcc" { PATH = "${tools}/bin:${tcc-by-gcc}/bin:${toolchain}/bin"; AR = "${toolchain}/bin/ar"; } (tcc "tcc");
  tcc = compiler: ''
    unpack ${source "tcc.tar.bz2"}
    ./configure --prefix=$out --cc=${compiler} --config-musl --enable-static --crtprefix=${musl}/lib --libpaths=${musl}/lib \
      --sysincludepaths=$out/lib/tcc/include:${musl}/include --elfinterp=/none
    make tcc libtcc1.a LDFLAGS=-static AR=$AR CFLAGS="-O1 -Wno-format -DCONFIG_TCC_STATIC"
    mkdir -p $out/bin $out/lib/tcc
    cp tcc $out/bin/tcc.real; cp libtcc1.a $out/lib/tcc/; cp -r include $out/lib/tcc/
    printf '#!/bin/sh\nexec %s/bin/tcc.real -static "$@"\n' $out > $out/bin/tcc
    chmod +x $out/bin/tcc; ln -s tcc $out/bin/cc'';

  # The shell and its tools.
  busybox = with-musl "busybox-1.35.0" ''
    unpack ${source "busybox.tar.bz2"}
    # No time of the build in what is built.
    export KCONFIG_NOTIMESTAMP=1 SOURCE_DATE_EPOCH=1
    make defconfig HOSTCC=gcc SHELL=/bin/sh > /dev/null
    sed -i 's/# CONFIG_STATIC is not set/CONFIG_STATIC=y/; s/^CONFIG_FEATURE_HAVE_RPC=y/# &/; s/^CONFIG_FEATURE_INETD_RPC=y/# &/; s/^CONFIG_TC=y/# &/' .config
    yes "" | make oldconfig HOSTCC=gcc SHELL=/bin/sh > /dev/null
    make -j$NIX_BUILD_CORES busybox HOSTCC=gcc CC=gcc AR=$AR SHELL=/bin/sh SKIP_STRIP=y EXTRA_CFLAGS=-w > log 2>&1 || { tail -n 30 log; exit 1; }
    mkdir -p $out/bin; cp busybox $out/bin/
    for tool in $(./busybox --list); do ln -s busybox $out/bin/$tool; done'';

  # From here on everything was built above: shell, tools, compiler and C library.
  own = name: script: derivation {
    inherit name system;
    builder = "${busybox}/bin/sh";
    PATH = "${tcc-by-tcc}/bin:${busybox}/bin";
    args = [ "-euc" ''
      unpack() { mkdir source; cd source; case $1 in *.gz) zcat $1;; *) bzcat $1;; esac | tar x; [ $(ls | wc -l) != 1 ] || cd *; }
      ${script}'' ];
  };

  zlib = own "zlib-1.2.13" ''
    unpack ${source "zlib.tar.bz2"}
    mkdir -p $out/lib $out/include
    for file in adler32 compress crc32 deflate infback inffast inflate inftrees trees uncompr zutil gzclose gzlib gzread gzwrite; do
      tcc -c -DHAVE_UNISTD_H -o $file.o $file.c
    done
    tcc.real -ar rcs $out/lib/libz.a *.o
    cp zlib.h zconf.h $out/include/
    tcc -I. -o example test/example.c $out/lib/libz.a
    ./example'';

  lua = own "lua-5.4.4" ''
    unpack ${source "lua.tar.gz"}
    cd src
    tcc -DLUA_USE_POSIX -o lua $(ls *.c | grep -v luac.c) -lm
    mkdir -p $out/bin; cp lua $out/bin/
    echo 'print(("%d squares: %s"):format(5, table.concat({1, 4, 9, 16, 25}, " ")))' > test.lua
    ./lua test.lua'';

  # The web server of examples/hello, from its source, which tcc does not know enough constraints of assembly for.
  server = first "server" ''
    mkdir -p $out/bin
    gcc -Os -static -nostdlib -ffreestanding -fno-pie -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
      -Wl,--build-id=none -s -o $out/bin/hello ${../../examples/hello/program/hello.c}'';

  all = own "all" ''
    mkdir $out
    for p in ${musl} ${tcc-by-gcc} ${tcc-by-tcc} ${busybox} ${zlib} ${lua} ${server}; do ln -s $p $out/; done'';
in
{
  inherit musl gcc-musl tcc-by-gcc tcc-by-tcc busybox zlib lua server all;
}
