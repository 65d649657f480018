"""The providers: name -> module. A module is imported when its SDK is."""

REGISTRY = {
    "anthropic": "otel_genai.providers.anthropic",
    "google_genai": "otel_genai.providers.google_genai",
    "groq": "otel_genai.providers.groq",
    "litellm": "otel_genai.providers.litellm",
    "ollama": "otel_genai.providers.ollama",
    "openai": "otel_genai.providers.openai",
}

SDK_MODULES = {
    "anthropic": ("anthropic",),
    "google_genai": (
        "google.genai.models",
        "google.genai._gaos.google_genai",
        "google.genai._interactions.resources.interactions",
    ),
    "groq": ("groq",),
    "litellm": ("litellm",),
    "ollama": ("ollama._client",),
    "openai": ("openai",),
}
"""The modules whose import brings a provider's hooks; a test compares them with the hooks themselves."""
