-- Who has sent a delivery: the vectors that the makers of the forms give, and what is near them.
local signature = require "orrery.signature"
local verify = require "orrery.serve.hooks.verify"

-- standardwebhooks.com, and its libraries' tests
local STANDARD = { secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", time = 1614265330,
  body = '{"test": 2432232314}',
  headers = { ["webhook-id"] = "msg_p5jXN8AQM9LWM0D4loKWxJek", ["webhook-timestamp"] = "1614265330",
    ["webhook-signature"] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" } }

-- docs.github.com, "Validating webhook deliveries"
local GITHUB = { secret = "It's a Secret to Everybody", time = 1614265330, body = "Hello, World!",
  headers = { ["x-github-delivery"] = "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    ["x-hub-signature-256"] = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" } }

-- docs.stripe.com, "Verify manually", with a key of ours; the signature is by `openssl dgst -hmac`
local STRIPE = { secret = "whsec_test_secret", time = 1492774577, body = '{"id":"evt_1","object":"event"}',
  headers = { ["stripe-signature"] =
    "t=1492774577,v1=654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543"
      .. ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39" } }

local function judged(form, vector, change)
  local headers = {}
  for name, value in pairs(vector.headers) do headers[name] = value end
  for name, value in pairs(change and change.headers or {}) do headers[name] = value or nil end
  return verify.delivery(form, { headers = headers, body = change and change.body or vector.body },
    change and change.secrets or { vector.secret }, change and change.time or vector.time)
end

describe("deliveries", function()
  it("have the HMAC of RFC 4231", function()
    for _, case in ipairs {
      { ("\x0b"):rep(20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
      { "Jefe", "what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
      { ("\xaa"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    } do assert.equal(case[3], signature.hmac(case[1], case[2])) end
  end)

  it("are not made of what is no text", function()
    for _, case in ipairs { { nil, "a", 1, "" }, { "whsec_AAAA", 1, 1, "" }, { "whsec_AAAA", "a", 1.5, "" },
      { "whsec_AAAA", "a", 1, {} } } do
      local ok, message = pcall(signature.headers, case[1], case[2], case[3], case[4])
      assert.is_false(ok)
      assert.is_truthy(message:find("expected .+, got %a+$"), message)
    end
  end)

  it("have base64 of RFC 4648", function()
    for text, coded in pairs { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==",
      ["\xff\xfe\0"] = "//4A" } do
      assert.equal(text, signature.decode(coded))
      if #coded % 4 == 0 then assert.equal(coded, signature.encode(text)) end
    end
    for _, text in ipairs { "Z", "Zg=a", "Zh==", "Zm9v*", "====", "Zm 9v" } do
      assert.is_nil(signature.decode(text), text)
    end
  end)

  it("are taken with the signatures of the three forms", function()
    assert.equal("msg_p5jXN8AQM9LWM0D4loKWxJek", (judged("standard", STANDARD)))
    assert.equal("72d3162e-cc78-11e3-81ab-4c9367dc0958", (judged("github", GITHUB)))
    assert.equal("evt_1", (judged("stripe", STRIPE)))
  end)

  it("are taken with either secret while one is changed, and one of several signatures", function()
    local other = "whsec_" .. ("A"):rep(32)
    assert.is_truthy(judged("standard", STANDARD, { secrets = { other, STANDARD.secret } }))
    assert.is_truthy(judged("standard", STANDARD, { headers = { ["webhook-signature"] =
      "v1,AAAA v1a,AAAA " .. STANDARD.headers["webhook-signature"] } }))
    assert.is_truthy(judged("github", GITHUB, { secrets = { "x", GITHUB.secret } }))
    assert.is_truthy(judged("stripe", STRIPE, { secrets = { STRIPE.secret, "x" } }))
    assert.is_truthy(judged("stripe", STRIPE, { headers = { ["stripe-signature"] =
      STRIPE.headers["stripe-signature"]:gsub("v1=", "v1=" .. ("0"):rep(64) .. ",v1=") } }))
  end)

  it("are refused with anything else", function()
    for _, case in ipairs {
      { "standard", STANDARD, { body = STANDARD.body .. " " } },
      { "standard", STANDARD, { time = STANDARD.time + 301 } },
      { "standard", STANDARD, { time = STANDARD.time - 301 } },
      { "standard", STANDARD, { headers = { ["webhook-id"] = "msg_other" } } },
      { "standard", STANDARD, { headers = { ["webhook-id"] = false } } },
      { "standard", STANDARD, { headers = { ["webhook-timestamp"] = "1614265331" } } },
      { "standard", STANDARD, { headers = { ["webhook-timestamp"] = "inf" } } },
      { "standard", STANDARD, { headers = { ["webhook-signature"] = false } } },
      { "standard", STANDARD, { headers = { ["webhook-signature"] = "v1," } } },
      { "standard", STANDARD, { headers = { ["webhook-signature"] =
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" } } },
      { "standard", STANDARD, { secrets = { "whsec_" .. ("A"):rep(32) } } },
      { "github", GITHUB, { body = "Hello, World?" } },
      { "github", GITHUB, { secrets = { "It's a secret" } } },
      { "github", GITHUB, { headers = { ["x-hub-signature-256"] = false } } },
      { "github", GITHUB, { headers = { ["x-hub-signature-256"] = "sha256=" } } },
      { "stripe", STRIPE, { body = "{}" } },
      { "stripe", STRIPE, { time = STRIPE.time + 301 } },
      { "stripe", STRIPE, { secrets = { "whsec_other" } } },
      { "stripe", STRIPE, { headers = { ["stripe-signature"] = false } } },
      { "stripe", STRIPE, { headers = { ["stripe-signature"] = "t=1492774577" } } },
      { "stripe", STRIPE, { headers = { ["stripe-signature"] =
        STRIPE.headers["stripe-signature"]:gsub("t=1492774577", "t=1492774578") } } },
      { "stripe", STRIPE, { headers = { ["stripe-signature"] =
        STRIPE.headers["stripe-signature"]:gsub("v1=", "v0=") } } },
    } do
      local id, why = judged(case[1], case[2], case[3])
      assert.is_nil(id)
      assert.equal("string", type(why))
    end
  end)

  it("are taken up to five minutes late or early", function()
    assert.is_truthy(judged("standard", STANDARD, { time = STANDARD.time + 300 }))
    assert.is_truthy(judged("stripe", STRIPE, { time = STRIPE.time - 300 }))
  end)

  it("may have a token alone, or nothing", function()
    local function token(header) return verify.delivery("token", { headers = { authorization = header,
      ["webhook-id"] = "7" }, body = "" }, { "s1", "s2" }, 0) end
    assert.equal("7", token "Bearer s2")
    assert.is_nil(token "Bearer s3")
    assert.is_nil(token "Bearer ")
    assert.is_nil(token "s1")
    assert.is_false((verify.delivery("none", { headers = {}, body = "" }, {}, 0)))
  end)

  it("say that a secret is none that Standard Webhooks could have", function()
    local ok, e = pcall(judged, "standard", STANDARD, { secrets = { "whsec_***" } })
    assert.same({ false, "config_error" }, { ok, e.code })
    assert.is_nil(e.message:find("***", 1, true))
  end)
end)
