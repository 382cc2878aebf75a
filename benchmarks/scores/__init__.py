"""How good the extractors' answers are, on data by others: names on Re-DocRED, triples on Text2KGBench."""
