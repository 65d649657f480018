"""The providers: name -> module. A module is imported when its SDK is."""

REGISTRY = {
    "anthropic": "otel_genai.providers.anthropic",
    "bedrock": "otel_genai.providers.bedrock",
    "cohere": "otel_genai.providers.cohere",
    "google_genai": "otel_genai.providers.google_genai",
    "groq": "otel_genai.providers.groq",
    "huggingface_hub": "otel_genai.providers.huggingface_hub",
    "langchain": "otel_genai.providers.langchain",
    "litellm": "otel_genai.providers.litellm",
    "mistralai": "otel_genai.providers.mistralai",
    "ollama": "otel_genai.providers.ollama",
    "openai": "otel_genai.providers.openai",
    "together": "otel_genai.providers.together",
}

SDK_MODULES = {
    "anthropic": ("anthropic",),
    "bedrock": ("aiobotocore.client", "botocore.client"),
    "cohere": ("cohere.client", "cohere.base_client", "cohere.v2.client"),
    "google_genai": (
        "google.genai.models",
        "google.genai._gaos.google_genai",
        "google.genai._interactions.resources.interactions",
    ),
    "groq": ("groq",),
    "huggingface_hub": (
        "huggingface_hub.inference._client",
        "huggingface_hub.inference._generated._async_client",
    ),
    "langchain": ("langchain_core.tracers.context",),
    "litellm": ("litellm",),
    "mistralai": (
        "mistralai.client.chat",
        "mistralai.client.fim",
        "mistralai.client.agents",
        "mistralai.client.embeddings",
        "mistralai.client._hooks.tracing",
        "mistralai.chat",
        "mistralai.fim",
        "mistralai.agents",
        "mistralai.embeddings",
        "mistralai._hooks.tracing",
        "mistralai.azure.client.chat",
        "mistralai.gcp.client.chat",
        "mistralai.gcp.client.fim",
    ),
    "ollama": ("ollama._client",),
    "openai": ("openai",),
    "together": ("together",),
}
"""The modules whose import brings a provider's hooks; a test compares them with the hooks themselves."""
