"""One file or small folder per editing method; `liveedit` is the reference."""
