#include "model/tokenizer/definition.h"

#include <algorithm>

#include "model/tokenizer/json_field.h"

namespace prospect::tokenization {
namespace {

// Far beyond any vocabulary (Gemma has 2^18); it bounds what an id can make us allocate.
constexpr int32_t kLargestId = (1 << 22) - 1;
constexpr size_t kLongestSequence = 64;

bool parse_normalizer(const Field& field) {
  if (field.is_null()) return false;
  const std::string type = field["type"].text();
  if (type == "NFC") return true;
  if (type == "Sequence") {
    const Field parts = field["normalizers"];
    bool nfc = false;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i]["type"].text() != "NFC")
        parts[i].refuse("type \"{}\" is not supported", parts[i]["type"].text());
      nfc = true;
    }
    return nfc;
  }
  field.refuse("type \"{}\" is not supported", type);
}

SplitRule parse_split(const Field& field) {
  SplitRule rule;
  const Field pattern = field["pattern"];
  rule.is_regex = pattern["String"].is_null();
  rule.pattern = pattern[rule.is_regex ? "Regex" : "String"].text();
  const std::string behavior = field["behavior"].text();
  if (behavior == "Removed") {
    rule.behavior = SplitRule::Behavior::Removed;
  } else if (behavior != "Isolated") {
    field["behavior"].refuse("Split with \"{}\" is not supported", behavior);
  }
  rule.invert = field["invert"].flag_or(false);
  return rule;
}

PreTokenizerRule parse_pre_tokenizer_step(const Field& field) {
  const std::string type = field["type"].text();
  if (type == "Split") return parse_split(field);
  if (type == "Digits") return DigitsRule{.individual = field["individual_digits"].flag_or(false)};
  if (type == "ByteLevel") {
    return ByteLevelRule{.add_prefix_space = field["add_prefix_space"].flag_or(true),
                         .use_regex = field["use_regex"].flag_or(true)};
  }
  field.refuse("type \"{}\" is not supported", type);
}

std::vector<PreTokenizerRule> parse_pre_tokenizer(const Field& field) {
  if (field.is_null()) field.refuse("none; only byte-level tokenizers are supported");
  std::vector<PreTokenizerRule> rules;
  if (field["type"].text() != "Sequence") {
    rules.push_back(parse_pre_tokenizer_step(field));
  } else {
    const Field steps = field["pretokenizers"];
    if (steps.size() > kLongestSequence)
      steps.refuse("{} steps; {} are the limit", steps.size(), kLongestSequence);
    for (size_t i = 0; i < steps.size(); ++i) rules.push_back(parse_pre_tokenizer_step(steps[i]));
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    const bool is_last = i + 1 == rules.size();
    if (std::holds_alternative<ByteLevelRule>(rules[i]) != is_last)
      field.refuse("ByteLevel must be the last step, and only that");
  }
  if (rules.empty()) field.refuse("no step; ByteLevel must be the last");
  return rules;
}

/// null, false, 0 and "" say that a feature is off.
void require_off(const Field& field) {
  const Json& value = field.json();
  const bool off =
      value.is_null() || value == Json(false) || (value.is_number() && value == Json(0)) || value == Json("");
  if (!off) field.refuse("{} is not supported", value.dump());
}

std::pair<std::string, std::string> parse_merge(const Field& merges, size_t i) {
  const Json& merge = merges.json()[i];
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  merges[i].refuse("expected \"a b\" or [\"a\", \"b\"], got {}", merge.dump());
}

BpeDefinition parse_bpe(const Field& field) {
  const Field type = field["type"];
  if (!type.is_null() && type.text() != "BPE") type.refuse("\"{}\" is not supported", type.text());
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"}) {
    require_off(field[key]);
  }
  BpeDefinition bpe;
  const Field unk = field["unk_token"];
  if (!unk.is_null()) bpe.unk_token = unk.text();
  bpe.fuse_unk = field["fuse_unk"].flag_or(false);
  bpe.ignore_merges = field["ignore_merges"].flag_or(false);

  const Field vocab = field["vocab"];
  vocab.require_object();
  bpe.vocab.reserve(vocab.json().size());
  for (const auto& [token, id] : vocab.json().items()) {
    if (id.is_number_unsigned() && id.get<uint64_t>() <= kLargestId) {
      bpe.vocab.emplace_back(token, id.get<int32_t>());
    } else {
      Field(id, fmt::format("{}[\"{}\"]", vocab.path(), token))
          .refuse("{} is no id in [0, {}]", id.dump(), kLargestId);
    }
  }
  const Field merges = field["merges"];
  bpe.merges.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) bpe.merges.push_back(parse_merge(merges, i));
  return bpe;
}

std::vector<AddedToken> parse_added_tokens(const Field& field) {
  std::vector<AddedToken> tokens;
  for (size_t i = 0; i < field.size(); ++i) {
    const Field token = field[i];
    AddedToken added{.content = token["content"].text(),
                     .id = token["id"].index(kLargestId),
                     .single_word = token["single_word"].flag_or(false),
                     .lstrip = token["lstrip"].flag_or(false),
                     .rstrip = token["rstrip"].flag_or(false),
                     .special = token["special"].flag_or(false)};
    added.normalized = token["normalized"].flag_or(!added.special);
    if (!added.content.empty()) tokens.push_back(std::move(added));
  }
  return tokens;
}

std::vector<int32_t> parse_special_ids(const Field& processor, const std::string& name) {
  const Field token = processor["special_tokens"][name.c_str()];
  if (token.is_null()) processor.refuse("the template names \"{}\", which special_tokens lacks", name);
  std::vector<int32_t> ids;
  const Field listed = token["ids"];
  for (size_t i = 0; i < listed.size(); ++i) ids.push_back(listed[i].index(kLargestId));
  return ids;
}

Template parse_template(const Field& processor) {
  Template around;
  bool seen_text = false;
  const Field pieces = processor["single"];
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Field piece = pieces[i], special = piece["SpecialToken"];
    if (special.is_null()) {
      if (seen_text || piece["Sequence"]["id"].text() != "A") piece.refuse("expected one sequence, A");
      seen_text = true;
    } else {
      const std::vector<int32_t> ids = parse_special_ids(processor, special["id"].text());
      std::vector<int32_t>& side = seen_text ? around.after : around.before;
      side.insert(side.end(), ids.begin(), ids.end());
    }
  }
  if (!seen_text) pieces.refuse("has no place for the text");
  return around;
}

/// ByteLevel moves offsets only, which nobody here asks for.
void parse_post_processor_step(const Field& field, std::vector<Template>& templates) {
  const std::string type = field["type"].text();
  if (type == "TemplateProcessing") {
    templates.push_back(parse_template(field));
  } else if (type != "ByteLevel") {
    field.refuse("type \"{}\" is not supported", type);
  }
}

std::vector<Template> parse_post_processor(const Field& field) {
  std::vector<Template> templates;
  if (field.is_null()) return templates;
  if (field["type"].text() != "Sequence") {
    parse_post_processor_step(field, templates);
    return templates;
  }
  const Field steps = field["processors"];
  if (steps.size() > kLongestSequence)
    steps.refuse("{} steps; {} are the limit", steps.size(), kLongestSequence);
  for (size_t i = 0; i < steps.size(); ++i) parse_post_processor_step(steps[i], templates);
  return templates;
}

void check_decoder(const Field& field) {
  if (field.is_null()) field.refuse("none; only ByteLevel is supported");
  const bool is_sequence = field["type"].text() == "Sequence";
  if (is_sequence && field["decoders"].size() != 1) field.refuse("expected ByteLevel alone in the Sequence");
  const Field decoder = is_sequence ? field["decoders"][size_t{0}] : field;
  if (decoder["type"].text() != "ByteLevel")
    decoder.refuse("type \"{}\" is not supported", decoder["type"].text());
}

std::string parse_token_text(const Field& field) {
  if (field.is_null()) return {};
  return field.json().is_object() ? field["content"].text() : field.text();
}

}  // namespace

Definition parse_definition(std::string_view text, const std::string& source) {
  const Json json = parse_json(text, source);
  const Field file(json, source);
  file.require_object();
  const auto part = [&](const char* key) {
    return Field(file[key].json(), fmt::format("{}: {}", source, key));
  };
  Definition definition;
  definition.source = source;
  definition.nfc = parse_normalizer(part("normalizer"));
  definition.added_tokens = parse_added_tokens(part("added_tokens"));
  definition.pre_tokenizer = parse_pre_tokenizer(part("pre_tokenizer"));
  definition.bpe = parse_bpe(part("model"));
  definition.templates = parse_post_processor(part("post_processor"));
  check_decoder(part("decoder"));
  return definition;
}

ConfigOverrides parse_config(std::string_view text, const std::string& source) {
  const Json json = parse_json(text, source);
  const Field file(json, source);
  file.require_object();
  const auto part = [&](const char* key) {
    return Field(file[key].json(), fmt::format("{}: {}", source, key));
  };
  ConfigOverrides config{.bos_token = parse_token_text(part("bos_token")),
                         .eos_token = parse_token_text(part("eos_token"))};
  const Field bos = part("add_bos_token"), eos = part("add_eos_token");
  config.replaces_template = !bos.is_null() || !eos.is_null();
  config.add_bos_token = bos.flag_or(false) && !config.bos_token.empty();
  config.add_eos_token = eos.flag_or(false) && !config.eos_token.empty();
  return config;
}

}  // namespace prospect::tokenization
