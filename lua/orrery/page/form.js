// form.js: a form from a JSON Schema. What it has no field for is written as JSON; the server judges what is sent.
import { el, fill, line, plain } from "./dom.js";
import { parse } from "./value.js";

let made_fields = 0;

function type_of(schema) {
  const type = [schema.type].flat().find((name) => name !== "null");
  return schema.enum ? "enum" : type;
}

function hint_of(schema) {
  const parts = [schema.description];
  if (schema.minimum !== undefined) parts.push(`at least ${schema.minimum}`);
  if (schema.maximum !== undefined) parts.push(`at most ${schema.maximum}`);
  if (schema.minLength) parts.push(`${schema.minLength} characters at least`);
  if (schema.pattern) parts.push(`of the form ${schema.pattern}`);
  return parts.filter(Boolean).join("; ");
}

function number_field(schema, value, attributes) {
  const input = el("input", { ...attributes, type: "number", step: type_of(schema) === "integer" ? "1" : "any",
    min: schema.minimum ?? null, max: schema.maximum ?? null, value: value ?? "" });
  return [input, () => input.value === "" ? undefined : Number(input.value)];
}

function text_field(schema, value, attributes) {
  const input = el("input", { ...attributes, type: "text", maxlength: schema.maxLength ?? null, value: value ?? "" });
  return [input, () => input.value === "" && !(schema.minLength === 0) ? undefined : input.value];
}

function check_field(_, value, attributes) {
  const input = el("input", { ...attributes, required: null, type: "checkbox", checked: value === true });
  return [input, () => input.checked];
}

function choice_field(schema, value, attributes) {
  const options = schema.enum.map((one, i) => el("option", { value: String(i) }, line(typeof one === "string" ? one : JSON.stringify(one))));
  const input = el("select", attributes, el("option", { value: "" }, ""), options);
  input.value = schema.enum.includes(value) ? String(schema.enum.indexOf(value)) : "";
  return [input, () => input.value === "" ? undefined : schema.enum[Number(input.value)]];
}

function json_field(_, value, attributes) {
  const input = el("textarea", { ...attributes, spellcheck: "false", value: value === undefined ? "" : JSON.stringify(value, null, 2) });
  return [input, () => {
    if (input.value.trim() === "") return undefined;
    try {
      return parse(input.value);
    } catch (problem) {
      throw new Error(`${attributes["data-name"]} is no JSON: ${problem.message}`);
    }
  }];
}

const MAKERS = { integer: number_field, number: number_field, string: text_field, boolean: check_field, enum: choice_field };

// One member of an object: its elements, and what gives its value.
function field(name, schema, value, required) {
  if (type_of(schema) === "object" && schema.properties && Object.keys(schema.properties).length > 0) {
    const [elements, read] = fields_of(schema, value);
    return [el("fieldset", {}, el("legend", {}, line(name)), elements), read];
  }
  const id = `field-${++made_fields}`, hint = hint_of(schema);
  const [input, read] = (MAKERS[type_of(schema)] ?? json_field)(schema, value, { id, required, "data-name": plain(name),
    "aria-describedby": hint ? `${id}-hint` : null });
  return [el("div", { class: "field" }, el("label", { for: id }, line(schema.title ?? name), required ? "" : " (optional)"), input,
    hint && el("div", { class: "hint", id: `${id}-hint` }, line(hint))), read];
}

function fields_of(schema, value) {
  const readers = [], elements = [];
  for (const [name, inner] of Object.entries(schema.properties)) {
    const given = value?.[name] ?? (typeof inner === "object" ? inner.default : undefined);
    const [element, read] = field(name, typeof inner === "object" ? inner : {}, given, schema.required?.includes(name) ?? false);
    elements.push(element);
    readers.push([name, read]);
  }
  return [elements, () => {
    const made = {};
    for (const [name, read] of readers) {
      const one = read();
      if (one !== undefined) made[name] = one;
    }
    return Object.keys(made).length > 0 ? made : undefined;
  }];
}

// A form for a value: an element, and a function that gives the value. It can be written as JSON as well.
export function form_of(schema, value, what = "Input") {
  const known = type_of(schema) === "object" && schema.properties && Object.keys(schema.properties).length > 0;
  const as_json = (given) => field(what, { description: "JSON" }, given, false);
  if (!known) return as_json(value);
  const [elements, read] = fields_of(schema, value), place = el("div", {}, elements);
  let current = () => read() ?? {};
  const change = el("button", { type: "button", onclick: () => {
    const [element, read_text] = as_json(current());
    fill(place, element);
    current = read_text;
    change.remove();
  } }, "Write it as JSON");
  return [el("div", {}, place, change), () => current()];
}
