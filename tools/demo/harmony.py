"""harmony.py: The harmony chat format: messages to token ids, and generated text back to messages.

Renders exactly what the C++ program renders: no date line, old analysis dropped once a turn has ended in `final`.
"""

import re
from dataclasses import dataclass

SPECIALS = ("<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>",
            "<|message|>", "<|call|>")
EFFORTS = ("low", "medium", "high")


@dataclass(frozen=True)
class Message:
    role: str  # user, assistant; of a tool result the tool's name
    content: str
    channel: str = ""
    recipient: str = ""
    json: bool = False  # content type `<|constrain|>json`


@dataclass(frozen=True)
class Tool:
    """A function with one argument, a string."""
    name: str
    description: str
    argument: str
    argument_description: str

    def schema(self):
        """Its parameters as JSON schema: what a program's caller would give."""
        prop = {"type": "string"}
        if self.argument_description:
            prop["description"] = self.argument_description
        return {"type": "object", "properties": {self.argument: prop}, "required": [self.argument]}


def system_text(effort, has_tools):
    calls = "\nCalls to these tools must go to the commentary channel: 'functions'." if has_tools else ""
    return ("You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n\n"
            f"Reasoning: {effort}\n\n"
            "# Valid channels: analysis, commentary, final. Channel must be included for every message." + calls)


def developer_text(instructions, tool):
    sections = []
    if instructions:
        sections.append(f"# Instructions\n\n{instructions}")
    if tool:
        comment = f"// {tool.argument_description}\n" if tool.argument_description else ""
        sections.append(f"# Tools\n\n## functions\n\nnamespace functions {{\n\n// {tool.description}\n"
                        f"type {tool.name} = (_: {{\n{comment}{tool.argument}: string,\n}}) => any;\n\n"
                        "} // namespace functions")
    return "\n\n".join(sections)


def drop_old_analysis(messages):
    finals = [i for i, m in enumerate(messages) if m.role == "assistant" and m.channel == "final"]
    after = finals[-1] + 1 if finals else 0
    return [m for i, m in enumerate(messages) if i >= after or m.channel != "analysis"]


# A rendered text is a list of pieces: a special token by its name, or ordinary text.

def render(message):
    """One message as it stands in a conversation, terminator included."""
    pieces = ["<|start|>", message.role + (f" to={message.recipient}" if message.recipient else "")]
    if message.channel:
        pieces += ["<|channel|>", message.channel]
    if message.json:
        pieces += [" ", "<|constrain|>", "json"]
    is_call = message.role == "assistant" and message.recipient
    return pieces + ["<|message|>", message.content, "<|call|>" if is_call else "<|end|>"]


def render_prompt(effort, messages, instructions="", tool=None):
    pieces = render(Message("system", system_text(effort, tool is not None)))
    if instructions or tool:
        pieces += render(Message("developer", developer_text(instructions, tool)))
    for message in drop_old_analysis(messages):
        pieces += render(message)
    return pieces + ["<|start|>", "assistant"]


def render_answer(messages):
    """What the model is to generate: the messages after `<|start|>assistant`. A call's tool follows the channel."""
    pieces = []
    for i, m in enumerate(messages):
        if i:
            pieces += ["<|start|>", "assistant"]
        pieces += ["<|channel|>", m.channel + (f" to={m.recipient}" if m.recipient else "")]
        if m.json:
            pieces += [" ", "<|constrain|>", "json"]
        pieces += ["<|message|>", m.content, "<|end|>" if i + 1 < len(messages) else
                   "<|call|>" if m.recipient else "<|return|>"]
    return pieces


_ANSWER = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>(analysis|commentary|final)(?: to=(\S+))?"
                     r"( <\|constrain\|>json)?<\|message\|>(.*?)<\|(end|return|call)\|>", re.S)


def parse_answer(text):
    """Generated text, special tokens spelt out, as messages; None if it is not well formed to its last token."""
    messages, at, last = [], 0, ""
    while at < len(text):
        match = _ANSWER.match(text, at)
        if not match:
            return None
        channel, recipient, json, content, last = match.groups()
        messages.append(Message("assistant", content, channel, recipient or "", bool(json)))
        at = match.end()
    return messages if last in ("return", "call") else None
