"""How participants join, publish, subscribe, exchange tokens and leave."""
