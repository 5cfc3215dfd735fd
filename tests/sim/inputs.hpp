// Inputs by name, as tests like to write them: input::Close{connection}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "peerbridge/events.hpp"

namespace peerbridge::input {

/// An input without members, or with handles only.
inline Input make(InputType type) {
  Input in;
  in.type = type;
  return in;
}

struct Start {
  std::optional<std::string> id;
  std::string token;
  operator Input() const {
    Input in = make(InputType::Start);
    in.hasText = id.has_value();
    in.text = id.value_or("");
    in.label = token;
    return in;
  }
};
struct Connect {
  ConnectionHandle connection = 0;
  std::string peer;
  std::string connectionId;
  ConnectionKind kind = ConnectionKind::Data;
  std::string label;
  std::optional<std::string> metadata;
  std::string serialization;
  bool reliable = false;
  operator Input() const {
    Input in = make(InputType::Connect);
    in.connection = connection;
    in.text = peer;
    in.connectionId = connectionId;
    in.kind = kind;
    in.label = label;
    in.hasMetadata = metadata.has_value();
    in.metadata = metadata.value_or("");
    in.serialization = serialization;
    in.reliable = reliable;
    return in;
  }
};

template <InputType type>
struct Bare {
  operator Input() const { return make(type); }
};
using Disconnect = Bare<InputType::Disconnect>;
using Reconnect = Bare<InputType::Reconnect>;
using Destroy = Bare<InputType::Destroy>;
using PageHide = Bare<InputType::PageHide>;
using Timeout = Bare<InputType::Timeout>;

/// One handle, in the member that `type` has it in.
template <InputType type, std::uint32_t Input::*member>
struct WithHandle {
  std::uint32_t handle = 0;
  operator Input() const {
    Input in = make(type);
    in.*member = handle;
    return in;
  }
};
using Answer = WithHandle<InputType::Answer, &Input::connection>;
using Close = WithHandle<InputType::Close, &Input::connection>;
using SignalingOpened = WithHandle<InputType::SignalingOpened, &Input::transport>;
using GatheringComplete = WithHandle<InputType::GatheringComplete, &Input::link>;
using PathChanged = WithHandle<InputType::PathChanged, &Input::link>;
using SideHeard = WithHandle<InputType::SideHeard, &Input::connection>;
using NegotiationNeeded = WithHandle<InputType::NegotiationNeeded, &Input::link>;
using ChannelClosed = WithHandle<InputType::ChannelClosed, &Input::channel>;

/// One handle and one string.
template <InputType type, std::uint32_t Input::*member, std::string Input::*words>
struct WithText {
  std::uint32_t handle = 0;
  std::string text;
  operator Input() const {
    Input in = make(type);
    in.*member = handle;
    in.*words = text;
    return in;
  }
};
using IdAssigned = WithText<InputType::IdAssigned, &Input::op, &Input::text>;
using IdFailed = WithText<InputType::IdFailed, &Input::op, &Input::label>;
using SignalingMessage = WithText<InputType::SignalingMessage, &Input::transport, &Input::text>;
using SignalingClosed = WithText<InputType::SignalingClosed, &Input::transport, &Input::label>;

struct OpDone {
  Op op = 0;
  std::optional<Description> description;
  operator Input() const {
    Input in = make(InputType::OpDone);
    in.op = op;
    in.hasText = description.has_value();
    if (description) in.text = description->sdp;
    if (description) in.sdpType = description->type;
    return in;
  }
};
struct OpFailed {
  Op op = 0;
  std::string name;
  std::string message;
  operator Input() const {
    Input in = make(InputType::OpFailed);
    in.op = op;
    in.text = name;
    in.label = message;
    return in;
  }
};
struct LocalCandidate {
  LinkHandle link = 0;
  CandidateInit candidate;
  operator Input() const {
    Input in = make(InputType::LocalCandidate);
    in.link = link;
    in.candidate = candidate;
    return in;
  }
};
struct LinkStateChanged {
  LinkHandle link = 0;
  LinkState state = LinkState::New;
  operator Input() const {
    Input in = make(InputType::LinkState);
    in.link = link;
    in.linkState = state;
    return in;
  }
};
struct ChannelArrived {
  LinkHandle link = 0;
  ChannelHandle channel = 0;
  std::string subprotocol = {};
  operator Input() const {
    Input in = make(InputType::ChannelArrived);
    in.link = link;
    in.channel = channel;
    in.text = subprotocol;
    return in;
  }
};
struct SideOpen {
  ConnectionHandle connection = 0;
  std::uint32_t side = 0;
  std::string label = {};
  operator Input() const {
    Input in = make(InputType::SideOpen);
    in.connection = connection;
    in.transfer = side;
    in.label = label;
    in.hasLength = true;
    return in;
  }
};
struct SideClose {
  ConnectionHandle connection = 0;
  std::uint32_t side = 0;
  operator Input() const {
    Input in = make(InputType::SideClose);
    in.connection = connection;
    in.transfer = side;
    return in;
  }
};
struct ChannelOpened {
  ChannelHandle channel = 0;
  std::size_t maxMessageSize = 65'536;
  operator Input() const {
    Input in = make(InputType::ChannelOpened);
    in.channel = channel;
    in.length = maxMessageSize;
    return in;
  }
};
struct Network {
  NetworkChange change = NetworkChange::Online;
  operator Input() const {
    Input in = make(InputType::Network);
    in.change = change;
    return in;
  }
};

}  // namespace peerbridge::input
