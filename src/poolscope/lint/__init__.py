"""The static twin of the findings: habits that can be read in the source, as hints for what a run would prove."""
