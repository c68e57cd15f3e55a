/* The program of what ends by itself. `print FILE ...` prints the first 4 KB of each file. No C library, as hello. */

#include "../../hello/program/system.h"

__attribute__((used)) void start(long *stack)
{
    char **arguments = (char **)(stack + 1);
    for (long i = 1; i < stack[0]; i++) {
        long file = call(OPENAT, CURRENT_FOLDER, (long)arguments[i], 0, 0, 0);
        long size = file < 0 ? file : call(READ, file, (long)text, sizeof text, 0, 0);
        if (size < 0 || call(WRITE, 1, (long)text, size, 0, 0) != size)
            leave(1);
        call(CLOSE, file, 0, 0, 0, 0);
    }
    leave(0);
}
