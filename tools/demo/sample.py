"""sample.py: What the generators make: an exchange (question, thought, answer, judge) and a sample (a whole
conversation)."""

from dataclasses import dataclass, field
from typing import Callable, Optional

from harmony import Message, Tool, parse_answer, render_answer, render_prompt
from lexicon import choose


@dataclass
class Exchange:
    kind: str
    question: str
    analysis: str
    final: str
    judge: Callable[[str], bool]  # of another final text

    def answer(self):
        return [Message("assistant", self.analysis, "analysis"), Message("assistant", self.final, "final")]

    def history(self):
        """The exchange as an earlier turn of a conversation."""
        return [Message("user", self.question), Message("assistant", self.final, "final")]


@dataclass
class Sample:
    kind: str
    effort: str
    messages: list  # the conversation up to the answer
    answer: list
    judge: Callable[[list], bool]  # of other messages
    instructions: str = ""
    tool: Optional[Tool] = None
    raw: list = field(default_factory=list)  # instead of all this: plain text

    def prompt_pieces(self):
        return [] if self.raw else render_prompt(self.effort, self.messages, self.instructions, self.tool)

    def answer_pieces(self):
        return self.raw or render_answer(self.answer)

    def is_right(self, generated):
        """Judges generated text, in which special tokens are spelt out."""
        messages = parse_answer(generated)
        return messages is not None and self.judge(messages)


def thought_then_final(judge):
    """A judge of messages from one of the final text: analysis comes first, then final, and nothing else."""
    return lambda messages: [m.channel for m in messages] == ["analysis", "final"] and judge(messages[1].content)


def framed(frames, *cores):
    """All phrasings of a request: each core alone and in each frame."""
    return tuple(cores) + tuple(frame.replace("{}", core) for frame in frames for core in cores)


def pick(rng, phrasings, new):
    """A phrasing. One in eight is held out; in evaluation half of the questions are asked in one of those."""
    return choose(rng, phrasings, new and rng.random() < 0.5)
