"""Running sessions in memory and the transactions that change them."""
