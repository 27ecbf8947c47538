"""Client libraries as their authors publish them, signing in at the running command: nothing of ours but the conversation."""
