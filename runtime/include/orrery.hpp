/* orrery.hpp - orrery.h for C++11 and later: what was opened is closed, and what failed throws.
 *
 *     orrery::Runtime rt;
 *     rt.define("door.open", [](orrery::Call &call) { call.complete(open_door(call.config())); });
 *     orrery::Workflow w = rt.load_file("quest.lua");
 *     orrery::Run run = rt.start(w, "{\"hero\": 7}");
 *     run.wait();
 *     std::cout << run.output().json();
 *
 * A function that cannot do what it says throws an orrery::Error with the status and the sentence
 * of orr_last_error. What a header of C says of threads, costs and lifetimes holds here too, and
 * `raw()` leads to the C API for what has no name here. A Workflow or Run may live longer than its
 * Runtime; using it then throws ORR_ESTATE.
 */
#ifndef ORRERY_HPP
#define ORRERY_HPP

#include <orrery.h>

#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

/* Why a call failed. `status` is an orr_status. */
class Error : public std::runtime_error {
  public:
    Error(int status, const std::string &message) : std::runtime_error(message), status_(status) {
    }
    int status() const noexcept {
        return status_;
    }

  private:
    int status_;
};

namespace detail {

/* What a Runtime shares with all that belongs to it. */
struct Shared {
    Shared() : rt(nullptr), opening(false), status(ORR_ENOMEM), message("the runtime cannot be opened") {
    }
    orr_runtime *rt; /* NULL once it is closed */
    bool opening;    /* the reason is asked for */
    int status;      /* why it could not be opened */
    std::string message;
};
typedef std::shared_ptr<Shared> Owner;

inline orr_runtime *alive(const Owner &owner) {
    if (!owner || !owner->rt) throw Error(ORR_ESTATE, "the runtime is closed");
    return owner->rt;
}

inline void check(orr_runtime *rt, int status) {
    if (status >= 0) return;
    const char *said = orr_last_error(rt);
    throw Error(status, said && *said ? said : orr_strerror(status));
}

/* Where the C API answers NULL or an id of zeros: the reason is in orr_last_error. */
inline void need(orr_runtime *rt, bool there, int status) {
    if (!there) check(rt, status);
}

} // namespace detail

/* Names a value of the runtime's: copying it copies the name. It is valid until the callback in
 * which it was handed out returns, or until the next step, as orr_value says; `drop` ends it and
 * those handed out after it, at the end of each turn of a loop over many. One that is not there
 * reads as what `otherwise` says, so that a path needs no look at each part:
 * `value["hero"]["name"].text()`. */
class Value {
  public:
    Value(orr_runtime *rt, orr_value value) noexcept : rt_(rt), value_(value) {
    }

    orr_value_kind kind() const noexcept {
        return orr_value_is(rt_, value_);
    }
    bool there() const noexcept {
        return kind() != ORR_VALUE_NONE;
    }
    bool boolean(bool otherwise = false) const noexcept {
        return orr_value_boolean(rt_, value_, otherwise);
    }
    int64_t integer(int64_t otherwise = 0) const noexcept {
        return orr_value_integer(rt_, value_, otherwise);
    }
    double number(double otherwise = 0) const noexcept {
        return orr_value_number(rt_, value_, otherwise);
    }
    std::string text(const std::string &otherwise = std::string()) const {
        size_t size = 0;
        const char *bytes = orr_value_text(rt_, value_, &size);
        return bytes ? std::string(bytes, size) : otherwise;
    }

    /* Items of an array, or fields of an object. */
    size_t size() const noexcept {
        return orr_value_count(rt_, value_);
    }
    Value operator[](const char *field) const noexcept {
        return Value(rt_, orr_value_field(rt_, value_, field));
    }
    Value operator[](const std::string &field) const noexcept {
        return (*this)[field.c_str()];
    }
    /* From 0. */
    Value operator[](size_t item) const noexcept {
        return Value(rt_, orr_value_item(rt_, value_, item));
    }
    Value operator[](int item) const noexcept {
        return item < 0 ? Value(rt_, orr_value()) : (*this)[static_cast<size_t>(item)];
    }

    /* Sets a field of an object that was made here; returns itself. */
    Value &set(const std::string &name, const Value &value) {
        return set_(name.c_str(), value);
    }
    Value &set(const std::string &name, bool flag) {
        return set_(name.c_str(), flag);
    }
    Value &set(const std::string &name, int n) {
        return set_(name.c_str(), static_cast<int64_t>(n));
    }
    Value &set(const std::string &name, int64_t n) {
        return set_(name.c_str(), n);
    }
    Value &set(const std::string &name, double n) {
        return set_(name.c_str(), n);
    }
    Value &set(const std::string &name, const std::string &text) {
        return set_(name.c_str(), text);
    }
    Value &set(const std::string &name, const char *text) {
        return set_(name.c_str(), std::string(text));
    }
    Value &set(const std::string &name, std::nullptr_t) {
        return set_(name.c_str(), nullptr);
    }
    /* Appends to an array that was made here; returns itself. */
    Value &append(const Value &value) {
        return set_(nullptr, value);
    }
    Value &append(bool flag) {
        return set_(nullptr, flag);
    }
    Value &append(int n) {
        return set_(nullptr, static_cast<int64_t>(n));
    }
    Value &append(int64_t n) {
        return set_(nullptr, n);
    }
    Value &append(double n) {
        return set_(nullptr, n);
    }
    Value &append(const std::string &text) {
        return set_(nullptr, text);
    }
    Value &append(const char *text) {
        return set_(nullptr, std::string(text));
    }
    Value &append(std::nullptr_t) {
        return set_(nullptr, nullptr);
    }

    std::string json() const {
        const char *text = orr_value_json(rt_, value_);
        detail::need(rt_, text != nullptr, ORR_EINVAL);
        return text;
    }
    void drop() noexcept {
        orr_value_drop(rt_, value_);
    }
    orr_value raw() const noexcept {
        return value_;
    }

  private:
    Value &done(int status) {
        detail::check(rt_, status);
        return *this;
    }
    Value &set_(const char *name, const Value &value) {
        return done(orr_value_set(rt_, value_, name, value.value_));
    }
    Value &set_(const char *name, bool flag) {
        return done(orr_value_set_boolean(rt_, value_, name, flag));
    }
    Value &set_(const char *name, int64_t n) {
        return done(orr_value_set_integer(rt_, value_, name, n));
    }
    Value &set_(const char *name, double n) {
        return done(orr_value_set_number(rt_, value_, name, n));
    }
    Value &set_(const char *name, const std::string &text) {
        return done(orr_value_set_text(rt_, value_, name, text.data(), text.size()));
    }
    Value &set_(const char *name, std::nullptr_t) {
        return done(orr_value_set_null(rt_, value_, name));
    }

    orr_runtime *rt_;
    orr_value value_;
};

/* An attempt of a node of a type that the program has defined; may be kept, and used from within
 * callbacks and between steps. Each function throws ORR_ESTATE once the attempt is over. */
class Attempt {
  public:
    Attempt(detail::Owner owner, orr_token token) : owner_(std::move(owner)), token_(token) {
    }

    void complete() {
        detail::check(rt(), orr_complete(rt(), token_, nullptr));
    }
    void complete(const Value &output) {
        detail::check(rt(), orr_complete_value(rt(), token_, output.raw()));
    }
    void complete_json(const std::string &output) {
        detail::check(rt(), orr_complete(rt(), token_, output.c_str()));
    }
    void fail(const std::string &code, const std::string &message, bool retryable = false) {
        detail::check(rt(), orr_fail(rt(), token_, code.c_str(), message.c_str(), retryable));
    }
    /* 0 to 1; below 0: not known. */
    void progress(double fraction, const std::string &message = std::string()) {
        detail::check(rt(),
                      orr_progress(rt(), token_, fraction, message.empty() ? nullptr : message.c_str()));
    }
    Value object() {
        return Value(rt(), orr_value_object(rt()));
    }
    Value array() {
        return Value(rt(), orr_value_array(rt()));
    }
    orr_token token() const noexcept {
        return token_;
    }

  protected:
    orr_runtime *rt() const {
        return detail::alive(owner_);
    }

  private:
    detail::Owner owner_;
    orr_token token_;
};

/* What an attempt is to do, valid during the call. Copy it as an Attempt to end it later. */
class Call : public Attempt {
  public:
    Call(const detail::Owner &owner, const orr_call &call) : Attempt(owner, call.token), call_(call) {
    }

    Value config() const {
        return Value(rt(), call_.config_value);
    }
    Value inputs() const {
        return Value(rt(), call_.inputs_value);
    }
    const orr_call &raw() const noexcept {
        return call_;
    }

  private:
    const orr_call &call_;
};

/* A workflow that was loaded; freed with this, and its runs go on. */
class Workflow {
  public:
    Workflow(detail::Owner owner, orr_workflow *workflow) : owner_(std::move(owner)), workflow_(workflow) {
    }
    Workflow(Workflow &&other) noexcept : owner_(std::move(other.owner_)), workflow_(other.workflow_) {
        other.workflow_ = nullptr;
    }
    Workflow &operator=(Workflow &&other) noexcept {
        if (this != &other) {
            free();
            owner_ = std::move(other.owner_);
            workflow_ = other.workflow_;
            other.workflow_ = nullptr;
        }
        return *this;
    }
    Workflow(const Workflow &) = delete;
    Workflow &operator=(const Workflow &) = delete;
    ~Workflow() {
        free();
    }

    uint32_t size() const {
        return orr_workflow_size(raw());
    }
    /* Node `node`, from 0; empty where it has no name. */
    std::string node(uint32_t node) const {
        const char *name = orr_workflow_node(raw(), node);
        return name ? name : "";
    }
    orr_workflow *raw() const {
        detail::alive(owner_);
        return workflow_;
    }

  private:
    void free() noexcept {
        if (owner_ && owner_->rt) orr_workflow_free(workflow_);
        workflow_ = nullptr;
    }
    detail::Owner owner_;
    orr_workflow *workflow_;
};

/* Names a run; copying it copies the name. */
class Run {
  public:
    Run(detail::Owner owner, orr_run_id id) : owner_(std::move(owner)), id_(id) {
    }

    orr_run_id id() const noexcept {
        return id_;
    }
    std::string text() const {
        char text[37];
        orr_run_id_text(id_, text);
        return text;
    }
    /* ORR_RUN_STATE_COUNT: there is no such run. */
    orr_run_state state() const {
        return orr_state(rt(), id_);
    }
    bool ended() const {
        return orr_run_ended(state());
    }
    /* Runs the loop until it has ended, however; returns its state. */
    orr_run_state wait() {
        detail::check(rt(), orr_wait(rt(), id_));
        return state();
    }
    Value output() const {
        return Value(rt(), orr_output_value(rt(), id_));
    }
    Value output(const std::string &node) const {
        return Value(rt(), orr_node_output_value(rt(), id_, node.c_str()));
    }
    /* JSON; empty where it has not failed. */
    std::string error() const {
        const char *text = orr_run_error_json(rt(), id_);
        return text ? text : "";
    }
    std::string why(const std::string &node) const {
        const char *text = orr_why_json(rt(), id_, node.c_str());
        detail::need(rt(), text != nullptr, ORR_ENOTFOUND);
        return text;
    }
    void signal(const std::string &name, const std::string &json = "null") {
        detail::check(rt(), orr_signal(rt(), id_, name.c_str(), json.c_str()));
    }
    void signal(const std::string &name, const Value &data) {
        detail::check(rt(), orr_signal_value(rt(), id_, name.c_str(), data.raw()));
    }
    void cancel(const std::string &reason = std::string()) {
        detail::check(rt(), orr_cancel_because(rt(), id_, reason.empty() ? nullptr : reason.c_str()));
    }
    void pause() {
        detail::check(rt(), orr_pause(rt(), id_));
    }
    void resume() {
        detail::check(rt(), orr_resume(rt(), id_));
    }
    void forget() {
        detail::check(rt(), orr_forget(rt(), id_));
    }

  private:
    orr_runtime *rt() const {
        return detail::alive(owner_);
    }
    detail::Owner owner_;
    orr_run_id id_;
};

/* A config with its defaults. */
inline orr_config config() {
    orr_config made;
    orr_config_init(&made);
    return made;
}

/* Closed with this, as orr_close says: not from within a callback. */
class Runtime {
  public:
    Runtime() : Runtime(config()) {
    }
    explicit Runtime(const orr_config &config) : owner_(std::make_shared<detail::Shared>()) {
        orr_config asked = config;
        /* a host that has functions of its own, which share one `ud`, is told by its on_error */
        if (!config.on_error && !config.ud) {
            asked.on_error = note_error;
            asked.ud = owner_.get();
        }
        owner_->opening = true;
        owner_->rt = orr_open(&asked);
        owner_->opening = false;
        if (!owner_->rt) throw Error(owner_->status, owner_->message);
    }
    Runtime(Runtime &&other) noexcept = default;
    Runtime(const Runtime &) = delete;
    Runtime &operator=(const Runtime &) = delete;
    ~Runtime() {
        if (!owner_) return;
        orr_close(owner_->rt);
        owner_->rt = nullptr;
    }

    /* A node type of the program: `start` ends the attempt, at once or later, by an Attempt that it
     * keeps. What it throws fails the attempt with that text. */
    void define(const std::string &name, std::function<void(Call &)> start) {
        std::unique_ptr<Type> type(new Type{owner_, std::move(start)});
        orr_type made = orr_type();
        made.size = sizeof made;
        made.name = name.c_str();
        made.ud = type.get();
        made.start = start_type;
        made.values = true;
        detail::check(raw(), orr_register(raw(), &made));
        types_.push_back(std::move(type));
    }

    Workflow load_file(const std::string &path) {
        return loaded(orr_load_file(raw(), path.c_str()));
    }
    Workflow load_string(const std::string &source, const std::string &name) {
        return loaded(orr_load_string(raw(), source.c_str(), name.c_str()));
    }
    Workflow load_json(const std::string &source, const std::string &name,
                       const std::string &allow = std::string()) {
        return loaded(
            orr_load_json(raw(), source.c_str(), name.c_str(), allow.empty() ? nullptr : allow.c_str()));
    }

    Run start(const Workflow &workflow, const std::string &input_json = std::string()) {
        orr_start_options options;
        orr_start_options_init(&options);
        return start(workflow, options, input_json);
    }
    Run start(const Workflow &workflow, const Value &input) {
        orr_start_options options;
        orr_start_options_init(&options);
        options.input = input.raw();
        return start(workflow, options);
    }
    Run start(const Workflow &workflow, const orr_start_options &options,
              const std::string &input_json = std::string()) {
        orr_run_id id = orr_start(raw(), workflow.raw(), input_json.empty() ? nullptr : input_json.c_str(),
                                  &options);
        detail::need(raw(), !orr_run_id_is_none(id), ORR_EINVAL);
        return Run(owner_, id);
    }
    Run run(orr_run_id id) {
        return Run(owner_, id);
    }
    std::vector<Run> runs() {
        std::vector<orr_run_id> ids(orr_list_runs(raw(), nullptr, 0));
        if (!ids.empty()) ids.resize(orr_list_runs(raw(), ids.data(), ids.size()));
        std::vector<Run> made;
        for (size_t i = 0; i < ids.size(); i++) made.push_back(Run(owner_, ids[i]));
        return made;
    }

    /* True: more could be done at once. */
    bool step(int64_t budget = 0) {
        int status = orr_step(raw(), budget);
        detail::check(raw(), status);
        return status == 1;
    }
    void advance(int64_t dt) {
        detail::check(raw(), orr_advance(raw(), dt));
    }
    int64_t time() const {
        return orr_time(raw());
    }
    int64_t next_deadline() const {
        return orr_next_deadline(raw());
    }
    void resume_all(uint32_t limit = 0) {
        detail::check(raw(), orr_resume_all(raw(), limit));
    }
    void sync() {
        detail::check(raw(), orr_sync(raw()));
    }

    /* The live runs as a saved game. */
    std::string save() {
        std::string bytes;
        detail::check(raw(), orr_save(raw(), write_save, &bytes));
        return bytes;
    }
    void load(const std::string &save) {
        Reading reading = {&save, 0};
        detail::check(raw(), orr_load(raw(), read_save, &reading));
    }

    Value object() {
        return Value(raw(), orr_value_object(raw()));
    }
    Value array() {
        return Value(raw(), orr_value_array(raw()));
    }
    Value json(const std::string &text) {
        orr_value value = orr_value_from_json(raw(), text.c_str());
        detail::need(raw(), orr_value_is(raw(), value) != ORR_VALUE_NONE, ORR_EINVAL);
        return Value(raw(), value);
    }
    orr_runtime *raw() const {
        return detail::alive(owner_);
    }

  private:
    struct Type {
        detail::Owner owner;
        std::function<void(Call &)> start;
    };
    struct Reading {
        const std::string *bytes;
        size_t at;
    };

    /* No exception may pass through C. */
    static void note_error(void *ud, const orr_error_info *error) {
        detail::Shared *shared = static_cast<detail::Shared *>(ud);
        if (!shared->opening) return;
        shared->status = error->status;
        try {
            shared->message = error->message;
        } catch (...) {
        }
    }
    static void start_type(void *ud, orr_runtime *rt, const orr_call *call) {
        Type *type = static_cast<Type *>(ud);
        try {
            Call made(type->owner, *call);
            type->start(made);
        } catch (const std::exception &e) {
            orr_fail(rt, call->token, nullptr, e.what(), false);
        } catch (...) {
            orr_fail(rt, call->token, nullptr, "the node's function has thrown", false);
        }
    }
    static int write_save(void *ud, const void *bytes, size_t size) {
        try {
            static_cast<std::string *>(ud)->append(static_cast<const char *>(bytes), size);
            return 0;
        } catch (...) {
            return 1;
        }
    }
    static int64_t read_save(void *ud, void *to, size_t room) {
        Reading *r = static_cast<Reading *>(ud);
        size_t n = r->bytes->size() - r->at < room ? r->bytes->size() - r->at : room;
        if (n > 0) std::memcpy(to, r->bytes->data() + r->at, n);
        r->at += n;
        return static_cast<int64_t>(n);
    }
    Workflow loaded(orr_workflow *workflow) {
        detail::need(raw(), workflow != nullptr, ORR_EDEFINITION);
        return Workflow(owner_, workflow);
    }

    detail::Owner owner_;
    std::vector<std::unique_ptr<Type>> types_;
};

} // namespace orrery

#endif
