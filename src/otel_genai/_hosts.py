"""The hosts of model providers: whom they belong to, and which others are never sent what is known of a call.

The name is the conventions' own where they have one, and else the one that the field has for the provider.
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
CLOUDS = ("amazonaws.com", "api.aws")
"""Of those, hosts at which anybody's programs answer, too: only their services of models are a provider's."""
FURTHER = (
    "openai.com", "chatgpt.com", "anthropic.com", "claude.com", "googleapis.com", "mistral.ai", "cohere.com",
    "cohere.ai", "groq.com", "deepseek.com", "x.ai", "perplexity.ai", "moonshot.ai", "moonshot.cn",
    "together.ai", "together.xyz", "fireworks.ai", "huggingface.co", "replicate.com", "cerebras.ai",
    "voyageai.com", "inference.ai.azure.com", "fal.run", "api.featherless.ai", "inference.api.nscale.com",
    "api.publicai.co", "api.scaleway.ai", "api.wavespeed.ai",
)  # fmt: skip
"""Hosts of providers that speak another language, or that are found by way of somebody else."""
