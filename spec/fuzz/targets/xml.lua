-- XML: what is read is written, and read again as the same; and reports in it as cases.
local driver = require "spec.fuzz.driver"
local flow = require "orrery"
local junit = require "orrery.stdlib.test.shared.junit"
local xml_text = require "orrery.stdlib.shared.xml_text"

local json = flow.json

-- All of a text, or nil and what is wrong.
local function read(text, options)
  local reader, found = flow.rows.xml_reader(options), {}
  for at = 1, #text + 50, 50 do -- the pieces cut it anywhere
    local values, problem = reader:read(at <= #text and text:sub(at, at + 49) or nil)
    if problem then return nil, problem.reason end
    table.move(values, 1, #values, #found + 1, found)
  end
  return found
end

return {
  seeds = { "<a/>", "<a b='c'>d<e/>f</a>",
    "<?xml version='1.0' encoding='UTF-8'?>\n<a><b>1</b>\n<b>2</b></a>",
    "<!DOCTYPE a [<!ENTITY x 'y'><!ATTLIST a k CDATA 'v'>]><a>&x;</a>", "<a><![CDATA[<]]>&#10;&amp;</a>",
    "<testsuites><testsuite name='s'><testcase name='a'><failure message='m'>t</failure></testcase>"
      .. "</testsuite></testsuites>", "\xFF\xFE<\0a\0/\0>\0", "<a:b xmlns:a='u'><!-- c --><?p i?></a:b>" },
  words = { "<", ">", "/>", "</a>", "<a>", "<b ", "=", "'", '"', "&", "&x;", "&amp;", "&#0;", "&#xD;",
    "<!ENTITY ", "<!DOCTYPE a [", "]>", "<![CDATA[", "]]>", "<!--", "-->", "<?", "?>", "\xff", "ä", "\n", " ",
    "%", "SYSTEM " },
  run = function(text)
    local trees, problem = read(text, { form = "tree" })
    if not trees then return driver.kind(problem) end
    local written = xml_text.document(trees[1], { form = "tree", indent = 0 })
    local again = read(written:gsub("\n$", ""), { form = "tree" })
    assert(json.encode(trees[1]) == json.encode(again[1]), "it is not read as it was written")
    local object = read(text, {})[1]
    assert(json.encode(read(xml_text.document(object, {}), {})[1]), "what is an object is not written")
    local cases, problems = junit.read(trees[1])
    if problems[1] then return "report: " .. driver.kind(problems[1]) end
    junit.text { name = "x", began = 0, host = "x", cases = cases }
    return "cases: " .. math.min(#cases, 20)
  end,
}
