/* The program of the example. `hello serve PORT FILE` answers every HTTP request with FILE, of which it reads 4 KB;
   `hello tick SECONDS FILE` prints FILE again and again. No C library, so it is one static file of 2 KB. */

#include "system.h"

/* The first process of a container gets no default action for SIGTERM. */
static void terminated(void)
{
    leave(0);
}

static long length(const char *string)
{
    long n = 0;
    while (string[n])
        n++;
    return n;
}

static void print(long file, const char *string)
{
    call(WRITE, file, (long)string, length(string), 0, 0);
}

static void fail(const char *what)
{
    print(2, "hello: ");
    print(2, what);
    print(2, "\n");
    leave(1);
}

static long number(const char *string)
{
    long n = 0;
    for (; *string >= '0' && *string <= '9' && n < 1000000; string++)
        n = n * 10 + (*string - '0');
    return n;
}

static long read_text(const char *path)
{
    long file = call(OPENAT, CURRENT_FOLDER, (long)path, 0, 0, 0);
    if (file < 0)
        fail("cannot open the file");
    long size = call(READ, file, (long)text, sizeof text, 0, 0);
    call(CLOSE, file, 0, 0, 0, 0);
    return size < 0 ? 0 : size;
}

static void tick(long seconds, const char *path)
{
    long time[2] = { seconds, 0 };
    for (;;) {
        call(WRITE, 1, (long)text, read_text(path), 0, 0);
        call(NANOSLEEP, (long)time, 0, 0, 0, 0);
    }
}

static void serve(long port, const char *path)
{
    unsigned char address[16] = { INTERNET, 0, (unsigned char)(port >> 8), (unsigned char)port };
    int yes = 1;
    long listener = call(SOCKET, INTERNET, STREAM, 0, 0, 0);
    call(SETSOCKOPT, listener, SOCKET_LEVEL, REUSE_ADDRESS, (long)&yes, sizeof yes);
    if (call(BIND, listener, (long)address, sizeof address, 0, 0) < 0 || call(LISTEN, listener, 16, 0, 0, 0) < 0)
        fail("cannot listen on the port");
    print(1, "hello: listening\n");
    for (;;) {
        long client = call(ACCEPT, listener, 0, 0, 0, 0);
        if (client < 0)
            continue;
        if (call(READ, client, (long)text, sizeof text, 0, 0) > 0) {
            print(client, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n");
            call(WRITE, client, (long)text, read_text(path), 0, 0);
        }
        call(CLOSE, client, 0, 0, 0, 0);
    }
}

__attribute__((used)) void start(long *stack)
{
    char **arguments = (char **)(stack + 1);
    long action[4] = { (long)terminated, RESTORER, (long)terminated, 0 };
    long ignore[4] = { IGNORE, 0, 0, 0 };
    call(SIGACTION, TERMINATE, (long)action, 0, 8, 0);
    call(SIGACTION, BROKEN_PIPE, (long)ignore, 0, 8, 0);
    if (stack[0] != 4)
        fail("usage: hello serve PORT FILE, or hello tick SECONDS FILE");
    if (arguments[1][0] == 's')
        serve(number(arguments[2]), arguments[3]);
    else
        tick(number(arguments[2]), arguments[3]);
}
