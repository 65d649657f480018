"""The SDKs beside openai and anthropic, a file each: how they are called, for `test_sdks.py`."""
