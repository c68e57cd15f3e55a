# Builds program.c, with nothing of the machine in it.
PATH=/usr/bin:/bin
mkdir -p "$out/bin"
exec "$cc" -static -O1 "-DLIBRARY=\"$library\"" -o "$out/bin/program" "$source"
