// claims.h: who does what, among processes that share no more than a folder: a claim is a file that one of them alone
// can create, and that it renews for as long as it lives.
#pragma once
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>

class Claims {
  public:
    // `folder` exists. A claim that has not been renewed for `stale_after_s` is free again.
    Claims(const std::string& folder, double stale_after_s);
    ~Claims();  // releases all
    Claims(const Claims&) = delete;
    Claims& operator=(const Claims&) = delete;

    // False: another process has it, or the folder is gone. Throws Error.
    bool take(const std::string& name);
    void release(const std::string& name);
    // Whether another process has taken it, as this one was not heard of for too long.
    bool has_lost(const std::string& name) const;
    const std::string& owner() const { return owner_; }  // a name that no other process has, fit for files

  private:
    std::string path(const std::string& name) const { return folder_ + "/" + name + ".claim"; }
    bool create(const std::string& name);
    bool is_free(const std::string& name, std::string& content) const;
    bool is_stale(const std::string& name) const;
    void renew();

    const std::string folder_, owner_, alive_;  // alive_: a file whose time tells the file system's clock
    const double stale_after_s_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::set<std::string> held_;
    bool ending_ = false;
    std::thread thread_;
};
