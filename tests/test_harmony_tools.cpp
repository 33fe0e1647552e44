// test_harmony_tools.cpp: JSON schemas to TypeScript, as OpenAI's harmony library prints them.
#include <gtest/gtest.h>

#include "harmony.h"
#include "text_checks.h"

namespace {

std::string tools_text(const FunctionTool& tool) {
    Preamble preamble;
    preamble.tools = {tool};
    const std::string text = developer_text(preamble);
    const std::string head = "# Tools\n\n## functions\n\nnamespace functions {\n\n";
    const std::string tail = "\n\n} // namespace functions";
    EXPECT_EQ(text.substr(0, head.size()), head);
    EXPECT_EQ(text.substr(text.size() - tail.size()), tail);
    return text.substr(head.size(), text.size() - head.size() - tail.size());
}

// What stands between "(_: " and ") => any;".
std::string arguments(const std::string& parameters) {
    const std::string text = tools_text({"f", "", parameters});
    const std::string head = "type f = (_: ", tail = ") => any;";
    EXPECT_EQ(text.substr(0, head.size()), head);
    return text.substr(head.size(), text.size() - head.size() - tail.size());
}

// The lines for one optional property "p".
std::string property(const std::string& schema) {
    const std::string text = arguments(R"({"type": "object", "properties": {"p": )" + schema + "}}");
    EXPECT_EQ(text.substr(0, 2), "{\n");
    EXPECT_EQ(text.substr(text.size() - 2), "\n}");
    return text.substr(2, text.size() - 4);
}

std::string schema_error(const std::string& parameters) {
    return error_of([&] { tools_text({"f", "", parameters}); });
}

}  // namespace

TEST(HarmonyTools, NoArguments) {
    EXPECT_EQ(tools_text({"f", "", ""}), "type f = () => any;");
    EXPECT_EQ(tools_text({"f", "", "null"}), "type f = () => any;");
    EXPECT_EQ(tools_text({"f", "", R"({"type": "object", "properties": {}})"}), "type f = (_: {\n}) => any;");
    EXPECT_EQ(tools_text({"f", "", R"({"type": "object"})"}), "type f = (_: {\n}) => any;");
    EXPECT_EQ(tools_text({"f", "", "{}"}), "type f = (_: any) => any;");
}

TEST(HarmonyTools, DescriptionHasACommentALine) {
    EXPECT_EQ(tools_text({"f", "One.", ""}), "// One.\ntype f = () => any;");
    EXPECT_EQ(tools_text({"f", "One.\n\nThree.\r\nFour.\n", ""}),
              "// One.\n// \n// Three.\n// Four.\ntype f = () => any;");
}

TEST(HarmonyTools, SeveralInTheirOrder) {
    Preamble preamble;
    preamble.tools = {{"b", "B.", ""}, {"a", "", "{}"}};
    EXPECT_EQ(developer_text(preamble), R"(# Tools

## functions

namespace functions {

// B.
type b = () => any;

type a = (_: any) => any;

} // namespace functions)");
}

TEST(HarmonyTools, Types) {
    EXPECT_EQ(property(R"({"type": "string"})"), "p?: string,");
    EXPECT_EQ(property(R"({"type": "number"})"), "p?: number,");
    EXPECT_EQ(property(R"({"type": "integer"})"), "p?: number,");
    EXPECT_EQ(property(R"({"type": "boolean"})"), "p?: boolean,");
    EXPECT_EQ(property(R"({"type": "array"})"), "p?: Array<any>,");
    EXPECT_EQ(property(R"({"type": "array", "items": {"type": "integer"}})"), "p?: number[],");
    EXPECT_EQ(property(R"({"type": "array", "items": {"type": "array", "items": {}}})"), "p?: any[][],");
}

TEST(HarmonyTools, NothingKnownIsAny) {
    EXPECT_EQ(property("{}"), "p?: any,");
    EXPECT_EQ(property("true"), "p?: any,");
    EXPECT_EQ(property("[1]"), "p?: any,");
    EXPECT_EQ(property(R"({"type": "null"})"), "p?: any,");
    EXPECT_EQ(property(R"({"type": "strange"})"), "p?: any,");
    EXPECT_EQ(property(R"({"type": 7})"), "p?: any,");
    EXPECT_EQ(property(R"({"type": []})"), "p?: any,");
    EXPECT_EQ(property(R"({"type": [1, 2]})"), "p?: any,");
    EXPECT_EQ(property(R"({"anyOf": [{"type": "string"}]})"), "p?: any,");
    EXPECT_EQ(property(R"({"$ref": "#/x"})"), "p?: any,");
    EXPECT_EQ(property(R"({"enum": ["a"]})"), "p?: any,");  // without "type"
    EXPECT_EQ(property(R"({"oneOf": "x", "type": "string"})"), "p?: string,");
}

TEST(HarmonyTools, Enums) {
    EXPECT_EQ(property(R"({"type": "string", "enum": ["a", "b c"]})"), R"(p?: "a" | "b c",)");
    EXPECT_EQ(property(R"({"type": "string", "enum": ["a", 1, null]})"), R"(p?: "a",)");
    EXPECT_EQ(property(R"({"type": "string", "enum": []})"), "p?: string,");
    EXPECT_EQ(property(R"({"type": "string", "enum": [1]})"), "p?: string,");
    EXPECT_EQ(property(R"({"type": "integer", "enum": [1, 2]})"), "p?: number,");
    EXPECT_EQ(property(R"({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}})"), R"(p?: "a" | "b"[],)");
}

TEST(HarmonyTools, TypeLists) {
    EXPECT_EQ(property(R"({"type": ["integer", "string", "null"]})"), "p?: number | string | null,");
    EXPECT_EQ(property(R"({"type": ["boolean"]})"), "p?: boolean,");
}

TEST(HarmonyTools, Nullable) {
    EXPECT_EQ(property(R"({"type": "string", "nullable": true})"), "p?: string | null,");
    EXPECT_EQ(property(R"({"type": "string", "nullable": false})"), "p?: string,");
    EXPECT_EQ(property(R"({"type": "string", "nullable": "yes"})"), "p?: string,");
    EXPECT_EQ(property(R"({"type": ["string", "null"], "nullable": true})"), "p?: string | null,");
    EXPECT_EQ(property(R"({"type": "object", "nullable": true})"), "p?: {\n    } | null,");
}

TEST(HarmonyTools, Defaults) {
    EXPECT_EQ(property(R"({"type": "string", "default": "x"})"), R"(p?: string, // default: "x")");
    EXPECT_EQ(property(R"({"type": "string", "default": ""})"), R"(p?: string, // default: "")");
    EXPECT_EQ(property(R"({"type": "string", "default": "say \"a\\b\""})"), R"(p?: string, // default: "say "a\b"")");
    EXPECT_EQ(property(R"({"type": "string", "enum": ["x", "y"], "default": "x"})"), R"(p?: "x" | "y", // default: x)");
    EXPECT_EQ(property(R"({"type": "integer", "default": -3})"), "p?: number, // default: -3");
    EXPECT_EQ(property(R"({"type": "number", "default": 1.0})"), "p?: number, // default: 1.0");
    EXPECT_EQ(property(R"({"type": "boolean", "default": false})"), "p?: boolean, // default: false");
    EXPECT_EQ(property(R"({"type": "string", "default": null})"), "p?: string, // default: null");
    // JSON inside is compact, with its escapes, and not ASCII only.
    EXPECT_EQ(property(R"({"default": {"b": [1, "\"é\u00e9\n"], "a": {}}})"),
              R"(p?: any, // default: {"b":[1,"\"éé\n"],"a":{}})");
}

TEST(HarmonyTools, RequiredPropertiesAndTheirOrder) {
    EXPECT_EQ(arguments(R"({"type": "object", "properties": {"z": {"type": "string"}, "a": {}, "m": {}},
                            "required": ["m", "z", "absent", 4]})"),
              "{\nz: string,\na?: any,\nm: any,\n}");
    EXPECT_EQ(arguments(R"({"type": "object", "properties": {"a": {}}, "required": "a"})"), "{\na?: any,\n}");
    EXPECT_EQ(arguments(R"({"type": "object", "properties": ["a"]})"), "{\n}");
}

TEST(HarmonyTools, CommentsAboveAProperty) {
    EXPECT_EQ(property(R"({"type": "string", "examples": ["x", 5, "y"], "description": "D.", "title": "T"})"),
              "// T\n//\n// D.\n// Examples:\n// - \"x\"\n// - \"y\"\np?: string,");
    EXPECT_EQ(property(R"({"type": "string", "examples": []})"), "p?: string,");
    EXPECT_EQ(property(R"({"type": "string", "title": 1, "description": 2, "examples": 3})"), "p?: string,");
    // Only a tool's description is cut into lines.
    EXPECT_EQ(property(R"({"type": "string", "description": "one\ntwo"})"), "// one\ntwo\np?: string,");
}

TEST(HarmonyTools, NestedObjects) {
    EXPECT_EQ(arguments(R"({"type": "object", "required": ["where"], "properties": {
                  "where": {"type": "object", "properties": {
                      "city": {"type": "string", "description": "City", "default": "Rome"},
                      "at": {"type": "object", "properties": {"lat": {"type": "number"}}}},
                      "required": ["city"]},
                  "list": {"type": "array", "items": {"type": "object",
                      "properties": {"id": {"type": "integer"}}}}}})"),
              R"({
where: {
    // City
    city: string, // default: "Rome"
    at?: {
        lat?: number,
        },
    },
list?: {
    id?: number,
    }[],
})");
}

TEST(HarmonyTools, DescriptionOfAnObjectStandsBeforeItsBrace) {
    EXPECT_EQ(arguments(R"({"type": "object", "description": "All of it", "properties": {"a": {}}})"),
              "// All of it\n{\na?: any,\n}");
    EXPECT_EQ(property(R"({"type": "object", "description": "Inner"})"), "// Inner\np?:     // Inner\n{\n    },");
}

TEST(HarmonyTools, OneOf) {
    EXPECT_EQ(property(R"({"oneOf": [{"type": "string"}, {"type": "number"}]})"), "p?:\n | string\n | number\n,");
    EXPECT_EQ(property(R"({"oneOf": [{"type": "string", "default": "s", "description": "A string."},
                                     {"type": "number", "description": "A number."},
                                     {"type": "string", "enum": ["x"], "default": "x", "nullable": true},
                                     {"type": "boolean", "default": true}]})"),
              "p?:\n"
              " | string // A string. default: \"s\"\n"
              " | number // A number.\n"
              " | \"x\" | null // default: x\n"
              " | boolean // default: true\n"
              ",");
}

// The library has no type for it, and prints none.
TEST(HarmonyTools, OneOfWithoutVariants) {
    EXPECT_EQ(property(R"({"oneOf": []})"), "p?:\n,");
    EXPECT_EQ(property(R"({"oneOf": [], "description": "D.", "default": 2.50, "type": "string"})"),
              "// D.\n// default: 2.5\np?:\n,");
    EXPECT_EQ(property(R"({"type": "array", "items": {"oneOf": []}})"), "p?: [],");
    EXPECT_EQ(tools_text({"f", "", R"({"oneOf": []})"}), "type f = (_: ) => any;");
    // One that is no list hides the description and the default.
    EXPECT_EQ(property(R"({"oneOf": null, "description": "D.", "default": 2, "type": "string"})"), "p?: string,");
}

TEST(HarmonyTools, DefaultsOfVariants) {
    const std::string variants = R"({"oneOf": [{"type": "string", "enum": ["a\tb"], "default": "a\tb"},
                                               {"type": "string", "default": "say \"x\""},
                                               {"type": "number", "default": 1e-7}]})";
    EXPECT_EQ(property(variants),
              "p?:\n | \"a\tb\" // default: a\tb\n | string // default: \"say \"x\"\"\n | number // default: 1e-7\n,");
    EXPECT_EQ(property(R"({"type": "array", "items": )" + variants + "}"),
              "p?: \n     | \"a\tb\" // default: \"a\\tb\"\n     | string // default: \"say \"x\"\"\n"
              "     | number // default: 1e-7[],");
}

// Expected values: the rules of ryu's pretty printer, which serde_json uses.
TEST(HarmonyTools, NumbersAsTheLibraryPrintsThem) {
    const std::vector<std::pair<const char*, const char*>> cases = {
        {"0", "0"},
        {"-3", "-3"},
        {"18446744073709551615", "18446744073709551615"},
        {"18446744073709551616", "1.8446744073709552e19"},
        {"0.0", "0.0"},
        {"-0.0", "-0.0"},
        {"1.0", "1.0"},
        {"1e2", "100.0"},
        {"0.1", "0.1"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"123456.789", "123456.789"},
        {"0.001", "0.001"},
        {"0.00001", "0.00001"},
        {"0.000012", "0.000012"},
        {"0.000001", "1e-6"},
        {"1e-6", "1e-6"},
        {"-1.25e-7", "-1.25e-7"},
        {"1e15", "1000000000000000.0"},
        {"1234567890123456.0", "1234567890123456.0"},
        {"1e16", "1e16"},
        {"1.5e16", "1.5e16"},
        {"1.7976931348623157e308", "1.7976931348623157e308"},
        {"5e-324", "5e-324"},
    };
    for (const auto& [written, expected] : cases) {
        EXPECT_EQ(property(std::string(R"({"type": "number", "default": )") + written + "}"),
                  std::string("p?: number, // default: ") + expected);
        EXPECT_EQ(property(std::string(R"({"default": [{"a": )") + written + "}]}"),
                  std::string("p?: any, // default: [{\"a\":") + expected + "}]");
    }
}

TEST(HarmonyTools, OneOfBesideADescription) {
    // The first variant's description gives way to the property's.
    EXPECT_EQ(property(R"({"description": "Both.", "default": 20, "title": "T", "examples": ["e"],
                           "oneOf": [{"type": "string", "description": "A string.", "default": "s"},
                                     {"type": "number", "description": "A number."}]})"),
              "// T\n//\n// Examples:\n// - \"e\"\n// Both.\n// default: 20\n"
              "p?:\n | string // default: \"s\"\n | number // A number.\n,");
    // Where they are the same, neither is printed, nor a later one that repeats it.
    EXPECT_EQ(property(R"({"description": "Same.", "oneOf": [{"type": "string", "description": "Same."}, {}]})"),
              "p?:\n | string\n | any\n,");
    EXPECT_EQ(property(R"({"description": "Same.", "oneOf": [{}, {"type": "string", "description": "Same."}]})"),
              "// Same.\np?:\n | any\n | string\n,");
}

TEST(HarmonyTools, OneOfElsewhere) {
    EXPECT_EQ(arguments(R"({"oneOf": [{"type": "object", "properties": {"a": {}}}, {"type": "string"}]})"),
              "\n | {\n   a?: any,\n   }\n | string");
    EXPECT_EQ(property(R"({"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "number"}]}})"),
              "p?: \n     | string\n     | number[],");
    EXPECT_EQ(arguments(R"({"type": "object", "properties": {"a": {"type": "object", "properties": {
                                "b": {"oneOf": [{"type": "object", "properties": {"c": {}}}]}}}}})"),
              "{\na?: {\n    b?:\n     | {\n       c?: any,\n       }\n    ,\n    },\n}");
}

TEST(HarmonyTools, BadSchemas) {
    EXPECT_EQ(schema_error("{\"type\": }"), "tool f: parameters: expected JSON, found a syntax error at byte 10");
    EXPECT_EQ(schema_error(" "), "tool f: parameters: expected JSON, found a syntax error at byte 2");
    EXPECT_EQ(schema_error("{} {}"), "tool f: parameters: expected JSON, found a syntax error at byte 4");
    EXPECT_EQ(schema_error("\"\xff\""), "tool f: parameters: expected JSON, found a syntax error at byte 2");
    EXPECT_EQ(schema_error("[]"), "tool f: parameters: expected a JSON object, found JSON of type array");
    EXPECT_EQ(schema_error("{\"default\": 1e999}"),
              "tool f: parameters: expected numbers that a double can hold, found a larger one");
}

TEST(HarmonyTools, VeryDeepSchemasAreRefused) {
    const auto nested = [](int levels) {
        std::string text = R"({"type": "string"})";
        for (int i = 0; i < levels; i++) text = R"({"type": "array", "items": )" + text + "}";
        return text;
    };
    EXPECT_EQ(property(nested(40)).substr(0, 12), "p?: string[]");
    EXPECT_EQ(schema_error(nested(10000)), "tool f: parameters: expected a schema of at most 100 levels, found more");
    EXPECT_EQ(schema_error(std::string(100000, '[')),
              "tool f: parameters: expected a schema of at most 100 levels, found more");
    EXPECT_EQ(schema_error(R"({"default": )" + std::string(10000, '[') + std::string(10000, ']') + "}"),
              "tool f: parameters: expected a schema of at most 100 levels, found more");
}
