/*
 * A CPT server written straight from the specification (CPT.md), in C for POSIX, for nothing but its text.
 *
 *     cc -O2 -o plain plain.c && ./plain [PORT]      prints the port it listens on; 39168 by default, 0: a free one
 *
 * It keeps everything in memory. Where the specification leaves a choice, it takes another one than our own server does:
 * timestamps are seconds; a private message has the form of the diagram, MSG <sender> <timestamp> <message>; new messages
 * of a group go to all who have synced it, also to who sent them; and a DECLINE ends the connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CLIENTS = 1000, MAX_LINE = 8192 };

struct message {
  struct message *next;
  time_t time;
  char *target, *sender, *text;
};

struct synced {
  struct synced *next;
  char *group;
};

struct client {
  int fd, is_ending;
  char *username;
  struct synced *synced;
  char in[MAX_LINE + 2];
  size_t in_size;
  char *out;
  size_t out_size, out_room;
};

static struct client *clients[MAX_CLIENTS];
static int client_count;
static struct message *first, *last;
static char **users; /* everybody who has ever connected: what is sent to them is private */
static size_t user_count;

static void *checked(void *memory) {
  if (memory == NULL) abort();
  return memory;
}

static void say(struct client *client, const char *line) {
  size_t size = strlen(line);
  if (client->out_size + size + 1 > client->out_room) {
    client->out_room = 2 * (client->out_size + size + 1);
    client->out = checked(realloc(client->out, client->out_room));
  }
  memcpy(client->out + client->out_size, line, size);
  client->out[client->out_size + size] = '\n';
  client->out_size += size + 1;
}

static void decline(struct client *client, const char *reason) {
  char line[64];
  snprintf(line, sizeof line, "DECLINE %s", reason);
  say(client, line);
  client->is_ending = 1;
}

static int is_user(const char *name) {
  for (size_t i = 0; i < user_count; i++) if (strcmp(users[i], name) == 0) return 1;
  return 0;
}

static int has_synced(const struct client *client, const char *group) {
  for (struct synced *each = client->synced; each != NULL; each = each->next)
    if (strcmp(each->group, group) == 0) return 1;
  return 0;
}

static void tell(struct client *client, const struct message *message) {
  char line[2 * MAX_LINE];
  long long time = (long long)message->time;
  if (is_user(message->target))
    snprintf(line, sizeof line, "MSG %s %lld %s", message->sender, time, message->text);
  else
    snprintf(line, sizeof line, "MSG %s %s %lld %s", message->target, message->sender, time, message->text);
  say(client, line);
}

static int is_name(const char *name) {
  if (*name == '\0') return 0;
  for (const char *at = name; *at != '\0'; at++) if ((unsigned char)*at <= ' ' || *at == 127) return 0;
  return 1;
}

static void connect_as(struct client *client, const char *username) {
  if (!is_name(username)) return decline(client, "invalid_command");
  if (client->username != NULL) return decline(client, "already_logged_in");
  int is_taken = strcmp(username, "system") == 0;
  for (int i = 0; i < client_count; i++)
    is_taken |= clients[i]->username != NULL && strcmp(clients[i]->username, username) == 0;
  if (is_taken) return decline(client, "username_taken");
  client->username = checked(strdup(username));
  if (!is_user(username)) {
    users = checked(realloc(users, (user_count + 1) * sizeof *users));
    users[user_count++] = checked(strdup(username));
  }
  say(client, "ACCEPT");
}

static void send_to(struct client *client, const char *target, const char *text) {
  if (!is_name(target) || text == NULL || *text == '\0') return decline(client, "invalid_command");
  if (client->username == NULL) return decline(client, "not_logged_in");
  struct message *message = checked(malloc(sizeof *message));
  *message = (struct message){
    .time = time(NULL),
    .target = checked(strdup(target)),
    .sender = checked(strdup(client->username)),
    .text = checked(strdup(text))
  };
  if (last == NULL) first = message;
  else last->next = message;
  last = message;
  say(client, "ACK");
  for (int i = 0; i < client_count; i++) {
    struct client *other = clients[i];
    int is_theirs = other->username != NULL && strcmp(other->username, target) == 0;
    if (is_theirs || has_synced(other, target)) tell(other, message);
  }
}

static void sync_group(struct client *client, const char *group, const char *after) {
  if (!is_name(group) || after == NULL || *after == '\0' || after[strspn(after, "0123456789")] != '\0')
    return decline(client, "invalid_command");
  if (client->username == NULL) return decline(client, "not_logged_in");
  int is_own = strcmp(group, client->username) == 0;
  if (is_own || !is_user(group)) {
    for (struct message *each = first; each != NULL; each = each->next)
      if (strcmp(each->target, group) == 0 && each->time > atoll(after)) tell(client, each);
    if (!is_own && !has_synced(client, group)) {
      struct synced *synced = checked(malloc(sizeof *synced));
      *synced = (struct synced){ .next = client->synced, .group = checked(strdup(group)) };
      client->synced = synced;
    }
  }
  say(client, "ENDSYNC");
}

/* Cuts a line at its next space; gives what is behind it, or NULL if there is nothing. */
static char *cut(char *text) {
  if (text == NULL) return NULL;
  char *space = strchr(text, ' ');
  if (space == NULL) return NULL;
  *space = '\0';
  return space + 1;
}

static void hear(struct client *client, char *line, size_t size) {
  static const char *const others[] = { "ACCEPT", "DECLINE", "ACK", "MSG", "ENDSYNC" };
  if (size > 0 && line[size - 1] == '\r') line[--size] = '\0';
  if (strlen(line) != size) return decline(client, "invalid_command"); /* NUL */
  char *rest = cut(line);
  if (strcmp(line, "CONNECT") == 0) return connect_as(client, rest == NULL ? "" : rest);
  if (strcmp(line, "SEND") == 0) {
    char *text = cut(rest);
    return send_to(client, rest == NULL ? "" : rest, text);
  }
  if (strcmp(line, "SYNC") == 0) {
    if (rest == NULL) return sync_group(client, client->username == NULL ? "x" : client->username, "0");
    char *after = cut(rest);
    return sync_group(client, rest, after);
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (strcmp(line, others[i]) == 0) return decline(client, "unsupported_command");
  decline(client, "invalid_command");
}

static void leave(int index) {
  struct client *client = clients[index];
  close(client->fd);
  while (client->synced != NULL) {
    struct synced *next = client->synced->next;
    free(client->synced->group);
    free(client->synced);
    client->synced = next;
  }
  free(client->username);
  free(client->out);
  free(client);
  clients[index] = clients[--client_count];
}

/* Reads what there is, and carries out all whole lines. Gives 0 when the peer has ended. */
static int hear_from(struct client *client) {
  ssize_t size = recv(client->fd, client->in + client->in_size, sizeof client->in - client->in_size, 0);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return 0;
  client->in_size += (size_t)size;
  char *from = client->in, *end;
  while (!client->is_ending && (end = memchr(from, '\n', client->in_size - (size_t)(from - client->in))) != NULL) {
    *end = '\0';
    hear(client, from, (size_t)(end - from));
    from = end + 1;
  }
  client->in_size -= (size_t)(from - client->in);
  memmove(client->in, from, client->in_size);
  if (client->in_size == sizeof client->in) decline(client, "invalid_command"); /* a line that is too long */
  return 1;
}

/* Says what there is to say, as far as the peer takes it. Gives 0 when the connection is over. */
static int say_to(struct client *client) {
  ssize_t size = send(client->fd, client->out, client->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  client->out_size -= (size_t)size;
  memmove(client->out, client->out + size, client->out_size);
  return client->out_size > 0 || !client->is_ending;
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 39168)),
    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
  };
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0) {
    perror("cannot listen");
    return 1;
  }
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    struct pollfd polled[MAX_CLIENTS + 1] = { { .fd = listener, .events = client_count < MAX_CLIENTS ? POLLIN : 0 } };
    for (int i = 0; i < client_count; i++) {
      short events = clients[i]->out_size > 0 || clients[i]->is_ending ? POLLOUT : POLLIN;
      polled[i + 1] = (struct pollfd){ .fd = clients[i]->fd, .events = events };
    }
    if (poll(polled, (nfds_t)client_count + 1, -1) < 0) continue;
    /* From the last one on: whoever leaves gives their place to one that has been looked at */
    for (int i = client_count - 1; i >= 0; i--) {
      struct client *client = clients[i];
      short events = polled[i + 1].revents;
      int is_there = (events & POLLOUT) == 0 || say_to(client);
      if (is_there && (events & (POLLIN | POLLERR | POLLHUP)) != 0 && !client->is_ending) is_there = hear_from(client);
      if (is_there && client->out_size > 0) is_there = say_to(client);
      if (!is_there) leave(i);
    }
    if ((polled[0].revents & POLLIN) != 0) {
      int fd = accept(listener, NULL, NULL);
      if (fd < 0) continue;
      clients[client_count] = checked(calloc(1, sizeof **clients));
      clients[client_count++]->fd = fd;
    }
  }
}
