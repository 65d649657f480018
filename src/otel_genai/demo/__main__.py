"""`python -m otel_genai.demo` is `otel-genai demo`."""

import sys

from otel_genai.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
