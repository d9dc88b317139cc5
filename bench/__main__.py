"""``make bench``: the tables of bench.overhead and bench.rules."""

from bench import overhead, rules

overhead.main()
print(rules.table(20_000))
