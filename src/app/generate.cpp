// generate.cpp: one prompt, one answer, streamed.
#include <algorithm>

#include "app/answer.h"
#include "app/interrupt.h"
#include "app/turn_input.h"
#include "base/output_file.h"
#include "error.h"
#include "line_writer.h"
#include "log.h"
#include "options.h"
#include "profile.h"

int generate(const Options& options, const Model& model) {
    const std::string text = options.input == "-" ? read_prompt_from_stdin() : options.input;
    const bool raw = options.raw || model.is_gpt2();  // GPT-2 has no chat format
    if (text.empty() && (!model.is_gpt2() || options.input == "-")) fail("--input: expected a prompt, found none");
    const Tokenizer tokenizer = Tokenizer::for_model(model, options.tokenizer);
    const Sampling sampling = sampling_for(options, model.common());

    std::vector<int> prompt, stop_ids = model.common().stop_ids;
    AnswerText out(model_files(options, model));
    std::unique_ptr<AnswerSink> sink;
    if (raw) {
        if (!text.empty())
            prompt = tokenizer.encode_with_special(text);
        else if (!stop_ids.empty())
            prompt = {stop_ids[0]};  // the token that ends a text also begins one
        if (prompt.empty()) fail("--input: expected a prompt, as this model has no token that ends a text; found none");
        sink = std::make_unique<RawAnswer>(out, tokenizer, stop_ids);
    } else {
        const HarmonyRenderer renderer(tokenizer);
        Preamble preamble;
        preamble.effort = options.effort;
        preamble.instructions = options.instructions;
        Message user;
        user.content = text;
        prompt = renderer.render_prompt(preamble, {user});
        for (const int id : renderer.stop_ids()) stop_ids.push_back(id);
        sink = std::make_unique<HarmonyAnswer>(out, tokenizer, options.show_reasoning, options.strict_harmony);
    }
    const int room = room_for_answer(model.common(), options.steps, prompt.size());
    const int max_new = std::min(room, options.max_new.value_or(room));

    Engine engine(model, engine_options(options, /*max_sequences=*/1));
    catch_interrupts();
    const AnswerStats stats = run_answer(engine, prompt, max_new, sampling, stop_ids, *sink, &interrupted());
    out.check();
    if (interrupted()) log_line("(stopped)");
    const auto* harmony = dynamic_cast<const HarmonyAnswer*>(sink.get());
    if (harmony && !harmony->says_anything() && !interrupted())
        log_line("no final answer in {} tokens{}", stats.n_new,
                 stats.finish != Finish::kLength ? ""
                 : max_new < room                ? ", the limit of --num-tokens"
                                                 : ", all that fit; --steps sets the limit");
    print_speed(stats);
    if (options.profile) print_profile(engine.stats());
    if (interrupted()) end_by_interrupt();
    return kExitOk;
}
