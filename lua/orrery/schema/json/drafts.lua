--- The schemas of the drafts themselves, for references to them: which keywords there are, and what
--- may stand under each. They say what https://json-schema.org/draft/2020-12/json-schema-core,
--- https://json-schema.org/draft/2020-12/json-schema-validation and
--- https://json-schema.org/draft-07/json-schema-validation say in prose. Each is made when it is
--- first asked for.
local drafts = {}

local PLACE = "https://json-schema.org/draft/2020-12/"
local TYPES = { "array", "boolean", "integer", "null", "number", "object", "string" }
local ANCHOR = { type = "string", pattern = "^[A-Za-z_][-A-Za-z0-9._]*$" }

--- Keywords by what stands under them, for each vocabulary of draft 2020-12.
local VOCABULARIES = {
  core = {
    uri = { "$schema" },
    reference = { "$ref", "$dynamicRef" },
    reference_without_fragment = { "$id" },
    anchor = { "$anchor", "$dynamicAnchor" },
    flag_by_uri = { "$vocabulary" },
    text = { "$comment" },
    schema_by_name = { "$defs" },
  },
  applicator = {
    schema = { "items", "contains", "additionalProperties", "propertyNames", "if", "then", "else", "not" },
    schemas = { "prefixItems", "allOf", "anyOf", "oneOf" },
    schema_by_name = { "properties", "dependentSchemas" },
    schema_by_pattern = { "patternProperties" },
  },
  unevaluated = { schema = { "unevaluatedItems", "unevaluatedProperties" } },
  validation = {
    type_names = { "type" },
    any = { "const" },
    list = { "enum" },
    above_zero = { "multipleOf" },
    number = { "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum" },
    count = {
      "maxLength", "minLength", "maxItems", "minItems", "maxContains", "minContains", "maxProperties",
      "minProperties",
    },
    pattern = { "pattern" },
    flag = { "uniqueItems" },
    names = { "required" },
    names_by_name = { "dependentRequired" },
  },
  ["meta-data"] = {
    text = { "title", "description" },
    any = { "default" },
    flag = { "deprecated", "readOnly", "writeOnly" },
    list = { "examples" },
  },
  ["format-annotation"] = { text = { "format" } },
  ["format-assertion"] = { text = { "format" } },
  content = { text = { "contentEncoding", "contentMediaType" }, schema = { "contentSchema" } },
}

--- What a whole schema of draft 2020-12 consists of.
local WHOLE = {
  "core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "content",
}
--- From before, still allowed.
local OLD = {
  schema_by_name = { "definitions" },
  schema_or_names_by_name = { "dependencies" },
  anchor = { "$recursiveAnchor" },
  reference = { "$recursiveRef" },
}

--- Draft 7 is one schema.
local SEVEN = {
  uri = { "$schema" },
  reference = { "$id", "$ref" },
  text = { "$comment", "title", "description", "format", "contentMediaType", "contentEncoding" },
  any = { "default", "const" },
  flag = { "readOnly", "writeOnly", "uniqueItems" },
  list = { "examples", "enum" },
  above_zero = { "multipleOf" },
  number = { "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum" },
  count = { "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties" },
  pattern = { "pattern" },
  schema = {
    "additionalItems", "contains", "additionalProperties", "propertyNames", "if", "then", "else", "not",
  },
  schema_or_schemas = { "items" },
  schemas = { "allOf", "anyOf", "oneOf" },
  names = { "required" },
  schema_by_name = { "definitions", "properties" },
  schema_by_pattern = { "patternProperties" },
  schema_or_names_by_name = { "dependencies" },
  type_names = { "type" },
}

local function by_name(schema)
  return { type = "object", additionalProperties = schema }
end

--- Each kind of content as a schema. `self`: what any schema of the draft is.
local function kinds(self)
  local names = { type = "array", items = { type = "string" }, uniqueItems = true }
  local schemas = { type = "array", items = self, minItems = 1 }
  local one_type = { enum = TYPES }
  local types = { type = "array", items = one_type, minItems = 1, uniqueItems = true }
  local address = { type = "string", format = "uri" }
  local kind = {
    any = true,
    text = { type = "string" },
    flag = { type = "boolean" },
    list = { type = "array" },
    number = { type = "number" },
    above_zero = { type = "number", exclusiveMinimum = 0 },
    count = { type = "integer", minimum = 0 },
    pattern = { type = "string", format = "regex" },
    anchor = ANCHOR,
    uri = address,
    reference = { type = "string", format = "uri-reference" },
    reference_without_fragment = { type = "string", format = "uri-reference", pattern = "^[^#]*#?$" },
    flag_by_uri = { type = "object", propertyNames = address, additionalProperties = { type = "boolean" } },
    type_names = { anyOf = { one_type, types } },
    names = names,
    schema = self,
    schemas = schemas,
    schema_or_schemas = { anyOf = { self, schemas } },
    names_by_name = by_name(names),
    schema_by_name = by_name(self),
    schema_by_pattern = by_name(self),
    schema_or_names_by_name = by_name { anyOf = { self, names } },
  }
  kind.schema_by_pattern.propertyNames = { format = "regex" }
  return kind
end

local function properties(keywords, self)
  local kind, made = kinds(self), {}
  for name, words in pairs(keywords) do
    for _, word in ipairs(words) do made[word] = kind[name] end
  end
  return made
end

local ANY = { ["$dynamicRef"] = "#meta" }

--- A schema of draft 2020-12. Whoever extends it is meant where it refers to itself.
local function extensible(name, vocabularies, keywords)
  local used = {}
  for _, vocabulary in ipairs(vocabularies) do used[PLACE .. "vocab/" .. vocabulary] = true end
  return {
    ["$schema"] = PLACE .. "schema",
    ["$id"] = PLACE .. name,
    ["$vocabulary"] = used,
    ["$dynamicAnchor"] = "meta",
    type = { "object", "boolean" },
    properties = properties(keywords, ANY),
  }
end

local function whole()
  local schema = extensible("schema", WHOLE, OLD)
  schema.allOf = {}
  for i, vocabulary in ipairs(WHOLE) do schema.allOf[i] = { ["$ref"] = "meta/" .. vocabulary } end
  return schema
end

local function seven()
  local address = "http://json-schema.org/draft-07/schema#"
  return {
    ["$schema"] = address,
    ["$id"] = address,
    type = { "object", "boolean" },
    properties = properties(SEVEN, { ["$ref"] = "#" }),
  }
end

local function make(name)
  if name == "draft-07/schema" then return seven() end
  if name == "draft/2020-12/schema" then return whole() end
  local vocabulary = name:match "^draft/2020%-12/meta/(.*)$"
  local keywords = VOCABULARIES[vocabulary]
  return keywords and extensible("meta/" .. vocabulary, { vocabulary }, keywords)
end

local made = {}

--- The document at an address; nil where it is none of a draft's.
---@param address string
---@return table|nil
function drafts.find(address)
  local name = address:match "^https?://json%-schema%.org/(.*)$"
  if not name then return nil end
  if made[name] == nil then made[name] = make(name) or false end
  return made[name] or nil
end

return drafts
