"""The providers: name -> module. A module is imported when its SDK is."""

REGISTRY = {
    "anthropic": "otel_genai.providers.anthropic",
    "groq": "otel_genai.providers.groq",
    "litellm": "otel_genai.providers.litellm",
    "ollama": "otel_genai.providers.ollama",
    "openai": "otel_genai.providers.openai",
}

SDK_MODULES = {
    "anthropic": ("anthropic",),
    "groq": ("groq",),
    "litellm": ("litellm",),
    "ollama": ("ollama._client",),
    "openai": ("openai",),
}
"""The modules whose import brings a provider's hooks; a test compares them with the hooks themselves."""
