"""The API of participants: WHIP publishing, subscribing, and the events websocket."""
