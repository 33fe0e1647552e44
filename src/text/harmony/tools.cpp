// tools.cpp: JSON schemas of function tools to TypeScript types.
//
// The model has seen tools in exactly the form that OpenAI's harmony library prints, so that form is reproduced with
// its oddities: only a tool's own description is cut into comment lines, an object's description is repeated before its
// brace, `anyOf` and `$ref` are `any`.
#include "text/harmony/tools.h"

#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "error.h"

namespace {

using Json = nlohmann::ordered_json;  // keeps the order of properties

// Levels of JSON in a schema; type_text() recurses once for two of them. Real schemas have about ten.
constexpr int kMaxDepth = 100;

std::string type_text(const Json& schema, const std::string& indent);

const Json* member(const Json& schema, const char* key) {
    if (!schema.is_object()) return nullptr;
    const auto it = schema.find(key);
    return it == schema.end() ? nullptr : &*it;
}

const std::string* string_at(const Json& schema, const char* key) {
    const Json* value = member(schema, key);
    return value ? value->get_ptr<const std::string*>() : nullptr;
}

// A list that has something in it.
const Json* list_at(const Json& schema, const char* key) {
    const Json* value = member(schema, key);
    return value && value->is_array() && !value->empty() ? value : nullptr;
}

// A double as the library's JSON writer (serde_json, which uses ryu) prints it: the shortest digits that read back as
// it, with a point, and an exponent only below 1e-5 or from 1e16 on.
std::string double_text(double value) {
    char buffer[32];
    const char* const end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
    const std::string_view text(buffer, size_t(end - buffer));  // "-1.25e-07"
    const size_t e = text.find('e');
    std::string digits;
    for (const char c : text.substr(0, e))
        if (c >= '0' && c <= '9') digits += c;
    const int exponent = std::atoi(buffer + e + 1);
    const int n_digits = int(digits.size()), point = exponent + 1;  // the place of the decimal point in the digits
    const std::string sign = text[0] == '-' ? "-" : "";

    if (value == 0) return sign + "0.0";
    if (point >= n_digits && point <= 16) return sign + digits + std::string(size_t(point - n_digits), '0') + ".0";
    if (point > 0 && point <= 16) return sign + digits.insert(size_t(point), ".");
    if (point > -5 && point <= 0) return sign + "0." + std::string(size_t(-point), '0') + digits;
    if (n_digits > 1) digits.insert(1, ".");
    return sign + digits + "e" + std::to_string(exponent);
}

std::string json_text(const Json& value) {
    if (value.is_number_float()) return double_text(value.get<double>());
    if (!value.is_structured()) return value.dump();
    std::string out;
    for (const auto& [key, item] : value.items()) {
        if (!out.empty()) out += ',';
        if (value.is_object()) out += Json(key).dump() + ":";
        out += json_text(item);
    }
    return value.is_object() ? "{" + out + "}" : "[" + out + "]";
}

// Strings are put in quotes without JSON's escapes; strings of an enum get no quotes.
std::string default_text(const Json& schema, const Json& value) {
    const std::string* text = value.get_ptr<const std::string*>();
    if (!text) return "default: " + json_text(value);
    return list_at(schema, "enum") ? "default: " + *text : "default: \"" + *text + "\"";
}

std::string enum_text(const Json& schema) {
    std::string out;
    if (const Json* values = list_at(schema, "enum"))
        for (const Json& value : *values)
            if (const auto* text = value.get_ptr<const std::string*>())
                out += (out.empty() ? "\"" : " | \"") + *text + '"';
    return out.empty() ? "string" : out;
}

std::string type_list_text(const Json& types) {
    std::string out;
    for (const Json& type : types)
        if (const auto* name = type.get_ptr<const std::string*>())
            out += (out.empty() ? "" : " | ") + (*name == "integer" ? "number" : *name);
    return out.empty() ? "any" : out;
}

std::string nullable_type_text(const Json& schema, const std::string& indent) {
    std::string out = type_text(schema, indent);
    const Json* nullable = member(schema, "nullable");
    if (nullable && *nullable == true && out.find("null") == std::string::npos) out += " | null";
    return out;
}

// Where the variants of a `oneOf` stand.
enum class Place { kProperty, kElsewhere };

// `oneOf`: a line for each variant. If the property has a description of its own, the first variant's is left out, and
// so is any that repeats the property's. Outside of properties, an enum's default is JSON, with quotes.
std::string variants_text(const Json& variants, const std::string& indent, Place place,
                          const std::string* property_description) {
    std::string out;
    bool first = true;
    for (const Json& variant : variants) {
        out += "\n" + indent + " | " + nullable_type_text(variant, indent + "   ");
        std::string comment;
        const std::string* description = string_at(variant, "description");
        if (description && !(property_description && (first || *description == *property_description)))
            comment += " " + *description;
        if (const Json* value = member(variant, "default")) {
            const bool quoted = place == Place::kElsewhere && list_at(variant, "enum");
            comment += " " + (quoted ? "default: " + json_text(*value) : default_text(variant, *value));
        }
        if (!comment.empty()) out += " //" + comment;
        first = false;
    }
    return out;
}

std::string property_text(const std::string& key, const Json& schema, bool is_required, const std::string& indent) {
    const Json* one_of = member(schema, "oneOf");
    const Json* variants = one_of && one_of->is_array() ? one_of : nullptr;
    const Json* default_value = member(schema, "default");
    const std::string* description = string_at(schema, "description");

    std::string out;
    const auto comment = [&](const std::string& text) { out += indent + "// " + text + "\n"; };
    if (const std::string* title = string_at(schema, "title")) {
        comment(*title);
        out += indent + "//\n";
    }
    if (description && !one_of) comment(*description);
    if (const Json* examples = list_at(schema, "examples")) {
        comment("Examples:");
        for (const Json& example : *examples)
            if (const auto* text = example.get_ptr<const std::string*>()) comment("- \"" + *text + "\"");
    }

    const std::string name = indent + key + (is_required ? ":" : "?:");
    if (variants) {
        // The library prints a description nowhere if the first variant repeats it.
        const std::string* first_description =
            variants->empty() ? nullptr : string_at(variants->front(), "description");
        if (description && !(first_description && *first_description == *description)) comment(*description);
        if (default_value) comment(default_text(schema, *default_value));
        out += name + variants_text(*variants, indent, Place::kProperty, description) + "\n" + indent + ",";
    } else {
        out += name + " " + nullable_type_text(schema, indent + "    ") + ",";
        if (default_value && !one_of) out += " // " + default_text(schema, *default_value);
    }
    return out + "\n";
}

// The properties of the outermost object are not indented; those of an inner object are, by `indent`.
std::string object_text(const Json& schema, const std::string& indent) {
    std::set<std::string> required;
    if (const Json* names = list_at(schema, "required"))
        for (const Json& name : *names)
            if (const auto* text = name.get_ptr<const std::string*>()) required.insert(*text);

    std::string out;
    if (const std::string* description = string_at(schema, "description")) out += indent + "// " + *description + "\n";
    out += "{\n";
    if (const Json* properties = member(schema, "properties"); properties && properties->is_object())
        for (const auto& [key, value] : properties->items())
            out += property_text(key, value, required.count(key) > 0, indent);
    return out + indent + "}";
}

std::string type_text(const Json& schema, const std::string& indent) {
    if (const Json* variants = member(schema, "oneOf"); variants && variants->is_array())
        return variants_text(*variants, indent, Place::kElsewhere, nullptr);
    if (const Json* types = list_at(schema, "type")) return type_list_text(*types);
    const std::string* type = string_at(schema, "type");
    if (!type) return "any";
    if (*type == "object") return object_text(schema, indent);
    if (*type == "string") return enum_text(schema);
    if (*type == "number" || *type == "integer") return "number";
    if (*type == "boolean") return "boolean";
    if (*type == "array") {
        const Json* items = member(schema, "items");
        return items ? type_text(*items, indent) + "[]" : "Array<any>";
    }
    return "any";
}

Json parse_schema(const FunctionTool& tool) {
    const auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
        if (depth > kMaxDepth)
            fail("tool {}: parameters: expected a schema of at most {} levels, found more", tool.name, kMaxDepth);
        return true;
    };
    try {
        Json schema = Json::parse(tool.parameters, check_depth);
        if (!schema.is_object() && !schema.is_null())
            fail("tool {}: parameters: expected a JSON object, found JSON of type {}", tool.name, schema.type_name());
        return schema;
    } catch (const Json::parse_error& e) {
        fail("tool {}: parameters: expected JSON, found a syntax error at byte {}", tool.name, e.byte);
    } catch (const Json::out_of_range&) {
        fail("tool {}: parameters: expected numbers that a double can hold, found a larger one", tool.name);
    }
}

// Each line of `text` as a comment. A newline at the end of `text` begins no further line; "\r\n" is a newline.
std::string comment_lines(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const size_t newline = text.find('\n');
        std::string_view line = text.substr(0, newline);
        text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
        if (newline != std::string_view::npos && !line.empty() && line.back() == '\r') line.remove_suffix(1);
        out += "// " + std::string(line) + "\n";
    }
    return out;
}

}  // namespace

std::string function_tools_text(const std::vector<FunctionTool>& tools) {
    std::string out = "# Tools\n\n## functions\n\nnamespace functions {\n\n";
    for (const FunctionTool& tool : tools) {
        const Json schema = tool.parameters.empty() ? Json() : parse_schema(tool);
        const std::string arguments = schema.is_null() ? "" : "_: " + type_text(schema, "");
        out += comment_lines(tool.description) + "type " + tool.name + " = (" + arguments + ") => any;\n\n";
    }
    return out + "} // namespace functions";
}
