"""Ask the city guide: a web service that searches documents, answers from them, and hears what people think.

    curl -N localhost:8000/ask -d '{"question": "When do trams run?", "user": "ada", "conversation": "c-1"}'

What is about telemetry: the service's own span, whose question it is, the name of the whole, and the
reference by which feedback finds its answer later. Everything else is seen as it is.
"""

from __future__ import annotations

import json
import logging
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import openai
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from genai_prices.data_snapshot import get_snapshot
from library import Library
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from pydantic import BaseModel

import otel_genai

get_snapshot()  # prices that are read before the first call are on its span, too
logger = logging.getLogger("rag")
PROMPT = "Answer from the documents alone.\n{documents}\n\nQuestion: {question}"


class Question(BaseModel):
    """What somebody wants to know, and which model is to answer."""

    question: str
    user: str
    conversation: str
    model: str = "gpt-4o-mini"


class Opinion(BaseModel):
    """What somebody thinks of an answer; `answer` is the reference that came with it."""

    answer: str
    helpful: bool
    comment: str | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Have the clients and the library ready, once in each worker."""
    app.state.openai, app.state.anthropic = openai.AsyncOpenAI(), anthropic.AsyncAnthropic()
    app.state.library = Library(app.state.openai)
    await app.state.library.fill()
    yield
    await to_thread(otel_genai.flush)  # uvicorn ends by the signal that stopped it: nothing runs after this


app = FastAPI(lifespan=lifespan)
FastAPIInstrumentor.instrument_app(app, excluded_urls="health", exclude_spans=["receive", "send"])


@app.post("/ask")
async def ask(question: Question) -> StreamingResponse:
    """Answer in lines of JSON: the text in pieces, then a reference."""
    return StreamingResponse(answer(question), media_type="application/x-ndjson")


@app.post("/feedback", status_code=204)
async def feedback(opinion: Opinion) -> None:
    """Put what somebody thinks beside the answer, which may have been given by another process."""
    otel_genai.feedback("up" if opinion.helpful else "down", of=opinion.answer, comment=opinion.comment)


@app.get("/health")
async def health() -> dict[str, bool]:
    """Say that the worker is ready."""
    return {"ready": True}


async def answer(question: Question) -> AsyncIterator[str]:
    """Search, then say what the model says while it says it."""
    whose = otel_genai.context(user=question.user, conversation_id=question.conversation, prompt="answer@2")
    async for piece in whose(pieces)(question):
        yield json.dumps(piece) + "\n"


@otel_genai.workflow("answer")
async def pieces(question: Question) -> AsyncIterator[dict[str, str]]:
    """Give the answer's parts, and after them the reference by which feedback finds it."""
    documents = await app.state.library.search(question.question)
    logger.info("found %d documents", len(documents))
    shown = "\n".join(f"<document>{text}</document>" for text in documents)
    prompt = PROMPT.format(documents=shown, question=question.question)
    say = claude if question.model.startswith("claude") else gpt
    async for text in say(question.model, prompt):
        yield {"text": text}
    yield {"answer": otel_genai.reference()}


async def gpt(model: str, prompt: str) -> AsyncIterator[str]:
    """Have OpenAI answer."""
    stream = await app.state.openai.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": prompt}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async with stream:
        async for chunk in stream:
            for choice in chunk.choices:
                yield choice.delta.content or ""


async def claude(model: str, prompt: str) -> AsyncIterator[str]:
    """Have Anthropic answer."""
    turns = [{"role": "user", "content": prompt}]
    async with app.state.anthropic.messages.stream(model=model, max_tokens=500, messages=turns) as stream:
        async for text in stream.text_stream:
            yield text
