"""Hosts that speak OpenAI's language, and who answers there.

The name is the conventions' own where they have one, and else the one that the field has for the provider.
Private hosts are the user's to name: see the setting `hosts`.
"""

from __future__ import annotations

from otel_genai import semconv as s

HOSTS = {
    "api.openai.com": s.OPENAI,
    "openai.azure.com": s.AZURE_OPENAI,
    "openai.azure.us": s.AZURE_OPENAI,
    "openai.azure.cn": s.AZURE_OPENAI,
    "cognitiveservices.azure.com": s.AZURE_OPENAI,
    "services.ai.azure.com": s.AZURE_INFERENCE,
    "models.ai.azure.com": s.AZURE_INFERENCE,
    "inference.ml.azure.com": s.AZURE_INFERENCE,
    "amazonaws.com": s.AWS_BEDROCK,
    "api.aws": s.AWS_BEDROCK,
    "api.anthropic.com": s.ANTHROPIC,
    "api.cohere.ai": s.COHERE,
    "api.cohere.com": s.COHERE,
    "api.deepseek.com": s.DEEPSEEK,
    "api.groq.com": s.GROQ,
    "ml.cloud.ibm.com": s.IBM_WATSONX_AI,
    "api.mistral.ai": s.MISTRAL_AI,
    "api.moonshot.ai": s.MOONSHOT_AI,
    "api.moonshot.cn": s.MOONSHOT_AI,
    "api.perplexity.ai": s.PERPLEXITY,
    "api.x.ai": s.X_AI,
    "generativelanguage.googleapis.com": s.GCP_GEMINI,
    "aiplatform.googleapis.com": s.GCP_VERTEX_AI,
    "inference.baseten.co": "baseten",
    "api.cerebras.ai": "cerebras",
    "api.cloudflare.com": "cloudflare",
    "dashscope.aliyuncs.com": "dashscope",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "dashscope-us.aliyuncs.com": "dashscope",
    "maas.aliyuncs.com": "dashscope",
    "cloud.databricks.com": "databricks",
    "gcp.databricks.com": "databricks",
    "azuredatabricks.net": "databricks",
    "api.deepinfra.com": "deepinfra",
    "api.fireworks.ai": "fireworks",
    "models.github.ai": "github",
    "models.inference.ai.azure.com": "github",
    "router.huggingface.co": "huggingface",
    "api-inference.huggingface.co": "huggingface",
    "endpoints.huggingface.cloud": "huggingface",
    "api.minimax.io": "minimax",
    "api.minimaxi.com": "minimax",
    "api.tokenfactory.nebius.com": "nebius",
    "api.studio.nebius.com": "nebius",
    "api.studio.nebius.ai": "nebius",
    "api.novita.ai": "novita",
    "integrate.api.nvidia.com": "nvidia",
    "ollama.com": "ollama",
    "openrouter.ai": "openrouter",
    "oai.endpoints.kepler.ai.cloud.ovh.net": "ovhcloud",
    "api.sambanova.ai": "sambanova",
    "api.siliconflow.com": "siliconflow",
    "api.siliconflow.cn": "siliconflow",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "ai-gateway.vercel.sh": "vercel",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zhipuai",
}
"""Host, or what it ends with -> provider; a region may stand before it."""


def provider(host: str) -> str | None:
    """Name who answers at a public host; None for one that nobody knows."""
    for known, name in HOSTS.items():
        if host == known or host.endswith((f".{known}", f"-{known}")):
            return name
    return None
