/* The program of the example. `hello serve PORT FILE` answers every HTTP request with FILE, of which it reads 4 KB;
   `hello tick SECONDS FILE` prints FILE again and again. No C library, so it is one static file of 2 KB. */

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, CLOSE = 3, SIGACTION = 13, NANOSLEEP = 35, SOCKET = 41, BIND = 49, LISTEN = 50,
       SETSOCKOPT = 54, EXIT_GROUP = 231, OPENAT = 257, ACCEPT = 288 };
static long call(long number, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#elif defined(__aarch64__)
enum { OPENAT = 56, CLOSE = 57, READ = 63, WRITE = 64, EXIT_GROUP = 94, NANOSLEEP = 101, SIGACTION = 134,
       SOCKET = 198, BIND = 200, LISTEN = 201, SETSOCKOPT = 208, ACCEPT = 242 };
static long call(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
__asm__(".globl _start\n_start: mov x29, xzr\n mov x0, sp\n bl start\n");
#endif

enum { CURRENT_FOLDER = -100, INTERNET = 2, STREAM = 1, SOCKET_LEVEL = 1, REUSE_ADDRESS = 2, BROKEN_PIPE = 13,
       TERMINATE = 15, IGNORE = 1, RESTORER = 0x04000000 };

static char text[4096];

static void leave(long status)
{
    for (;;)
        call(EXIT_GROUP, status, 0, 0, 0, 0);
}

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
