//! EROFS metadata images whose file contents lie in other files.
