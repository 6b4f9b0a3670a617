"""The words sent to language models; pure functions of cards, space and history."""
