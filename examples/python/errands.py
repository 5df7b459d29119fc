"""Orrery in a Python program, by ctypes alone: no compiler, no package to install.

    python3 examples/python/errands.py [LIBRARY]

LIBRARY is liborrery-full.so, which has its own Lua inside; build/liborrery-full.so where none is
named. A workflow in Lua decides what happens when; two of its node types are functions of Python,
one of which answers later, and a signal from Python lets it go on.
"""

import ctypes
import json
import sys
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_bool, c_char_p, c_int, c_int64,
                    c_size_t, c_uint8, c_uint32, c_uint64, c_void_p, sizeof)

SCRIPT = """
local flow = require "orrery"
local w = flow.workflow { name = "errands", output = { bill = "${nodes.pay.total}", note = "${nodes.thank}" } }
w.shop = flow.py.shop { list = "${input.list}" }
w.pay = { after = "shop", run = function(ctx, inputs)
  local total = 0
  for _, price in pairs(inputs.shop) do total = total + price end
  local tip = ctx:wait "tip"
  return { total = total + tip }
end }
w.thank = flow.py.later { after = "pay", text = "paid ${nodes.pay.total}" }
return w
"""


class RunId(Structure):
    _fields_ = [("bytes", c_uint8 * 16)]


class Token(Structure):
    _fields_ = [("a", c_uint64), ("b", c_uint64)]


class Value(Structure):
    _fields_ = [("slot", c_uint32), ("number", c_uint32)]


class Call(Structure):  # orr_call
    _fields_ = [("token", Token), ("config", c_char_p), ("inputs", c_char_p), ("attempt", c_uint32),
                ("run", RunId), ("run_data", c_void_p), ("node", c_char_p), ("item", c_uint32),
                ("iteration", c_uint32), ("deadline", c_int64), ("idempotency_key", c_char_p),
                ("config_value", Value), ("inputs_value", Value)]


START = CFUNCTYPE(None, c_void_p, c_void_p, POINTER(Call))
CANCEL = CFUNCTYPE(None, c_void_p, c_void_p, Token)


class Type(Structure):  # orr_type
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("doc", c_char_p), ("ud", c_void_p),
                ("start", START), ("cancel", CANCEL), ("values", c_bool)]


def declared(library):
    """The functions used here, with what they take and return."""
    pointer, text = c_void_p, c_char_p
    for name, result, *arguments in (
            ("orr_open", pointer, pointer), ("orr_close", c_int, pointer),
            ("orr_last_error", text, pointer), ("orr_register", c_int, pointer, POINTER(Type)),
            ("orr_load_string", pointer, pointer, text, text),
            ("orr_start", RunId, pointer, pointer, text, pointer),
            ("orr_run_id_is_none", c_bool, RunId),
            ("orr_step", c_int, pointer, c_int64), ("orr_wait", c_int, pointer, RunId),
            ("orr_complete", c_int, pointer, Token, text),
            ("orr_fail", c_int, pointer, Token, text, text, c_bool),
            ("orr_signal", c_int, pointer, RunId, text, text),
            ("orr_state", c_int, pointer, RunId), ("orr_run_state_name", text, c_int),
            ("orr_output", text, pointer, RunId), ("orr_run_error_json", text, pointer, RunId)):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Runtime:
    def __init__(self, path):
        self.c = declared(ctypes.CDLL(path))
        self.rt = self.c.orr_open(None)
        self.kept = []  # ctypes frees a callback that nothing holds

    def need(self, there):
        if not there:
            raise RuntimeError(self.c.orr_last_error(self.rt).decode())
        return there

    def define(self, name, function):
        """`function(config, done)` calls `done(output)`, at once or at any later time."""
        def start(_ud, rt, call):
            token = Token(call.contents.token.a, call.contents.token.b)

            def done(output):
                self.c.orr_complete(rt, token, json.dumps(output).encode())
            try:
                function(json.loads(call.contents.config), done)
            except Exception as error:  # none may pass through C
                self.c.orr_fail(rt, token, b"handler_error", str(error).encode(), False)
        made = Type(sizeof(Type), name.encode(), None, None, START(start), CANCEL(), False)
        self.need(self.c.orr_register(self.rt, byref(made)) == 0)
        self.kept.append(made)

    def load(self, source, name):
        return self.need(self.c.orr_load_string(self.rt, source.encode(), name.encode()))

    def start(self, workflow, value):
        run = self.c.orr_start(self.rt, workflow, json.dumps(value).encode(), None)
        self.need(not self.c.orr_run_id_is_none(run))
        return run

    def step(self):
        return self.c.orr_step(self.rt, 1_000_000)

    def output(self, run):
        self.need(self.c.orr_wait(self.rt, run) == 0)
        text = self.c.orr_output(self.rt, run)
        return json.loads(text) if text else json.loads(self.c.orr_run_error_json(self.rt, run))

    def close(self):
        self.c.orr_close(self.rt)


def main(path):
    prices, later = {"bread": 3, "milk": 2}, []
    rt = Runtime(path)
    rt.define("py.shop", lambda config, done: done({item: prices[item] for item in config["list"]}))
    rt.define("py.later", lambda config, done: later.append(lambda: done(config["text"] + ", thank you")))
    workflow = rt.load(SCRIPT, "errands.lua")

    run = rt.start(workflow, {"list": ["bread", "milk"]})
    rt.c.orr_signal(rt.rt, run, b"tip", b"1")
    while not later:
        rt.step()
    later.pop()()
    print(json.dumps(rt.output(run)))

    print(rt.output(rt.start(workflow, {"list": ["caviar"]}))["message"])
    rt.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/liborrery-full.so")
