"""``make bench``: the tables of bench.overhead; ``python -m bench.memory`` is the other measurement."""

from bench.overhead import main

main()
