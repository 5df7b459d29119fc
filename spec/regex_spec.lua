-- The regular expressions of JSON Schema: what they match, what they refuse, and that they take
-- linear time.
local regex = require "orrery.schema.regex"

local function matches(pattern, text)
  local match, mistake = regex.compile(pattern)
  assert.is_nil(mistake and mistake.message)
  return match(text)
end

describe("a regular expression", function()
  -- pattern, what it matches, what it does not
  local CASES = {
    { "abc", { "abc", "xabcx" }, { "", "ab", "ABC" } },
    { "^abc$", { "abc" }, { "abc\n", "xabc", "abcx" } },
    { "", { "", "x" }, {} },
    { "^a*$", { "", "a", "aaa" }, { "b", "aab" } },
    { "^a+b?$", { "a", "ab", "aab" }, { "", "b", "abb" } },
    { "^(x|yz)*$", { "", "x", "yzx" }, { "y", "xy" } },
    { "^a{2,3}$", { "aa", "aaa" }, { "a", "aaaa" } },
    { "^a{2}$", { "aa" }, { "a", "aaa" } },
    { "^a{2,}$", { "aa", "aaaaa" }, { "a" } },
    { "^a{0}b$", { "b" }, { "ab" } },
    { "^(ab){2}c$", { "ababc" }, { "abc" } },
    { "^a*?b+?c??$", { "b", "aabbc" }, { "a" } },
    { "^(a*)*$", { "", "aaa" }, { "b" } },
    { "^(a?|b)+$", { "", "abab" }, { "c" } },
    { "^(|x)y$", { "y", "xy" }, { "xxy" } },
    { "a|b|^c", { "a", "xb", "cx" }, { "xc", "d" } },
    { "^.$", { "a", "é", "😀", "\t" }, { "", "\n", "\r", "\u{2028}", "ab" } },
    { "^[a-cx]$", { "a", "b", "c", "x" }, { "d", "-" } },
    { "^[^a-c]$", { "d", "😀", "\n" }, { "a", "" } },
    { "^[]$", {}, { "", "]" } },
    { "^[^]$", { "a", "\n" }, { "" } },
    { "^[-a]$", { "-", "a" }, { "b" } },
    { "^[a-]$", { "-", "a" }, { "b" } },
    { "^[+-]$", { "-", "+" }, { "," } },
    { "^[A-Za-z0-9-._]+$", { "a-b.c_9" }, { "a@b" } },
    { "^[\\w-.]$", { "a", "-", "." }, { "@" } },
    { "^[\\]\\\\]$", { "]", "\\" }, { "[" } },
    { "^[\\b]$", { "\b" }, { "b" } },
    { "^[😀-😂]$", { "😁" }, { "😃" } },
    { "^🐲*$", { "", "🐲🐲" }, { "🐉" } },
    { "^\\d\\D\\w\\W\\s\\S$", { "1xy- z" }, { "xxy- z", "12y- z" } },
    { "^\\s$", { " ", "\t", "\v", "\u{a0}", "\u{feff}", "\u{2003}" }, { "\u{1}", "\u{2013}" } },
    { "^\\w$", { "_", "a", "0" }, { "é", "-" } },
    { "^\\t\\n\\r\\f\\v\\0$", { "\t\n\r\f\v\0" }, { "tnrfv0" } },
    { "^\\x41\\u0042\\u{43}\\cA$", { "ABC\1" }, { "ABCA" } },
    { "^\\ud83d\\ude00$", { "😀" }, { "😁" } },
    { "^\\$\\{\\}\\.\\/\\-$", { "${}./-" }, { "$" } },
    { "^a{$", { "a{" }, { "a" } },
    { "^}]$", { "}]" }, { "" } },
    { "^{,2}$", { "{,2}" }, { "" } },
    { "\\bcat\\b", { "cat", "a cat.", "cat-x" }, { "cats", "concat", "_cat" } },
    { "\\Bcat", { "concat" }, { "cat", "a cat" } },
    { "^\\B$", { "" }, { "a" } },
    { "(?:ab)+(?<name>c)", { "ababc" }, { "ab" } },
    { "^a$|^b$", { "a", "b" }, { "ab" } },
    { "a^b|c$d", {}, { "ab", "cd", "a^b" } },
    { "(^a|b)c", { "ac", "xbc" }, { "xac" } },
    { "^(?!x$).+$", { "y", "xx" }, { "x", "" } },
    { "^(?=.*\\d)(?=.*[a-z]).{3,}$", { "ab1", "1a2b" }, { "abc", "123", "a1" } },
    { "^(?!^lib\\.|bin\\.).*", { "x.bin.", "" }, { "lib.a", "bin.a" } },
    { "\\p{Letter}cole", { "école", "l'ecole" }, { "ÉCOLE", "1cole" } },
    { "^\\p{Lu}\\P{Lu}$", { "Aa", "Éé" }, { "AA", "aa" } },
    { "^\\p{digit}+$", { "42", "৪২" }, { "a" } },
    { "^[\\p{L}\\d]+$", { "é1" }, { "-" } },
    { "^\\p{gc=Nd}\\p{General_Category=Decimal_Number}$", { "12" }, { "1" } },
    { "^\\p{Any}\\p{ASCII}$", { "éa" }, { "aé" } },
    { "^[^\\n]{1,64}$", { ("é"):rep(64) }, { "", ("é"):rep(65), "a\nb" } },
  }
  for _, case in ipairs(CASES) do
    it(("%q"):format(case[1]), function()
      for _, text in ipairs(case[2]) do
        assert.is_true(matches(case[1], text), ("%q is not matched"):format(text))
      end
      for _, text in ipairs(case[3]) do
        assert.is_false(matches(case[1], text), ("%q is matched"):format(text))
      end
    end)
  end

  it("takes bytes that are not UTF-8 for U+FFFD each", function()
    assert.is_true(matches("^a.\u{fffd}b$", "a\xff\xe9b"))
    assert.is_true(matches("^...$", "\xf0\x9f\x98"))
  end)

  local REFUSED = {
    { "(a", "syntax", "a ( is not closed; write \\( for the character" },
    { "a)", "syntax", "a ) has no ( before it" },
    { "[a", "syntax", "a [ is not closed" },
    { "[b-a]", "syntax", "the range b-a is the wrong way round" },
    { "*a", "syntax", "there is nothing before the * that it could repeat; write \\* for the character" },
    { "a**", "syntax", "there is nothing before the *" },
    { "{2}", "syntax", "there is nothing before the {" },
    { "^*", "syntax", "a place in the text, such as ^ or a lookahead, cannot be repeated" },
    { "a{3,2}", "syntax", "{3,2} is the wrong way round" },
    { "a\\", "syntax", "it ends in a single \\" },
    { "\\a", "syntax", "there is no escape \\a" },
    { "^\\S(|(.|\\n)*\\S)\\Z", "syntax", "there is no escape \\Z" },
    { "\\xg0", "syntax", "after \\x there are not 2 hexadecimal digits" },
    { "\\u{110000}", "syntax", "\\u{110000} is no character" },
    { "\\c1", "syntax", "after \\c there is no letter" },
    { "\\p", "syntax", "\\p needs the name of a property" },
    { "(?a)", "syntax", "(?a is no group" },
    { "\xff", "syntax", "it is not UTF-8" },
    { "(a)\\1", "unsupported", "a backreference (\\1) cannot be matched in linear time" },
    { "(?<n>a)\\k<n>", "unsupported", "a backreference (\\k)" },
    { "(?<=a)b", "unsupported", "a lookbehind cannot" },
    { "(?<!a)b", "unsupported", "a lookbehind cannot" },
    { "a(?=b)", "unsupported", "a lookahead is known only behind the ^" },
    { "(?!b)a", "unsupported", "a lookahead is known only behind the ^" },
    { "^(?=(?=a)b)", "unsupported", "a lookahead is known only behind the ^" },
    { "^(?!a)b|c", "unsupported", "where the expression has no |" },
    { "(?i:a)", "unsupported", "(?i is no group" },
    { "(?i)a", "syntax", "(?i is no group" },
    { "\\p{Lettr}", "unsupported", 'did you mean "Letter"?' },
    { "\\p{Script=Greek}", "unsupported", "the property \\p{Script=Greek} is not known" },
    { "a{10001}", "large", "a repetition counts at most to 10000" },
    { "((a{100}){100}){100}", "large", "it needs more than 10000 states" },
    { ("("):rep(300), "large", "groups are nested deeper than 200" },
    { ("a"):rep(10001), "large", "it is longer than 10000 bytes" },
  }
  for _, case in ipairs(REFUSED) do
    it(("%q is refused"):format(case[1]:sub(1, 40)), function()
      local match, mistake = regex.compile(case[1])
      assert.is_nil(match)
      assert.equal(case[2], mistake.sort)
      assert.is_truthy(mistake.message:find(case[3], 1, true), mistake.message)
    end)
  end
end)

-- Instructions of Lua that a call takes.
local function steps_of(fn)
  local steps = 0
  debug.sethook(function() steps = steps + 1 end, "", 100)
  fn()
  debug.sethook()
  return steps
end

describe("matching takes linear time", function()
  for _, pattern in ipairs { "^(a+)+$", "(x+x+)+y", "^(a|a)*$", "(.*)*b", "^(?=(a+)+$).*c$", "a{0,50}b" } do
    it(pattern, function()
      local match = regex.compile(pattern)
      local function time(n)
        local text = ("a"):rep(n) .. "!"
        return steps_of(function() match(text) end)
      end
      time(100) -- what is kept is made
      local short, long = time(5000), time(50000)
      assert.is_true(long <= 12 * short + 100, ("%d and %d steps"):format(short, long))
    end)
  end

  it("in memory that is bounded, whatever the text", function()
    local match = regex.compile "^(.{0,3}x)?.*z$"
    collectgarbage()
    local before = collectgarbage "count"
    local parts = {}
    for i = 1, 60000 do parts[i] = utf8.char(0x4E00 + i * 7919 % 20000) end
    local text = table.concat(parts)
    assert.is_true(match(text .. "z"))
    assert.is_false(match(text))
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 32 * 1024)
  end)
end)

describe("the general categories", function()
  it("are those of Perl", function()
    local ranges_of = require "orrery.schema.regex.property".ranges
    local names, lines = {}, {}
    for name in pairs(require "orrery.schema.regex.categories") do names[#names + 1] = name end
    table.sort(names)
    local perl <close> = io.popen(([[perl -MUnicode::UCD=prop_invlist -e '
      print Unicode::UCD::UnicodeVersion(), "\n";
      for (qw(%s)) { print "$_ ", join(" ", prop_invlist("gc=$_")), "\n" }' 2>/dev/null]])
      :format(table.concat(names, " ")))
    for line in perl:lines() do lines[#lines + 1] = line end
    if not (lines[1] or ""):find "^14%." then
      pending "no Perl with Unicode 14 is here"
      return
    end
    assert.equal(#names + 1, #lines)
    for i = 2, #lines do
      local ranges = {}
      for code in lines[i]:gmatch "%f[%d]%d+" do ranges[#ranges + 1] = tonumber(code) - #ranges % 2 end
      if #ranges % 2 == 1 then ranges[#ranges + 1] = 0x10FFFF end
      assert.same(ranges, ranges_of(names[i - 1]), names[i - 1])
    end
  end)
end)
