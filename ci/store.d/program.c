/* Prints a file of the library that it was built with. */
#include <stdio.h>

int main(void) {
  int c;
  FILE *file = fopen(LIBRARY "/share/version", "r");
  if (file == NULL) {
    perror(LIBRARY);
    return 1;
  }
  while ((c = getc(file)) != EOF)
    putchar(c);
  return 0;
}
