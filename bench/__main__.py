"""``make bench``: the tables of bench.overhead and of bench.rules; ``python -m bench.memory`` is another measurement."""

from bench import overhead, rules

overhead.main()
print(rules.table(20_000))
