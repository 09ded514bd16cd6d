/**
 * The gate at the receiving side of a connection: a message that its contract does not allow goes no further, is told in one sentence, and
 * is refused where it is a request. The contracts themselves are in `schemas.ts`.
 */
import {
  ErrorCodes,
  type DataCallback,
  type Disposable,
  type Message,
  type MessageReader,
  type NotificationType,
  type NotificationType0,
  type RequestType,
  type RequestType0,
  type ResponseMessage,
} from 'vscode-jsonrpc';
import * as z from 'zod/mini';
import type { ErrorData } from './errorTransfer';

/** All that one side may send. */
export interface Contract {
  /** The sender, as it begins a sentence. */
  readonly sender: string;
  /** Schemas of the parameters, by method. */
  readonly messages: ReadonlyMap<string, z.ZodMiniType>;
  /** True if the sender is asked something and so may answer. */
  readonly answers: boolean;
}

type Entry = readonly [method: string, schema: z.ZodMiniType];

/** A message that carries an object. */
export function carries<Params extends object>(
  { method }: RequestType<Params, unknown, unknown> | NotificationType<Params>,
  schema: z.ZodMiniType<Params>,
): Entry {
  return [method, schema];
}

/** A message that carries one value: JSON-RPC sends it in a list. */
export function carriesValue<Params>(
  { method }: RequestType<Params, unknown, unknown> | NotificationType<Params>,
  schema: z.ZodMiniType<Params>,
): Entry {
  return [method, z.tuple([schema])];
}

/** A message that says all by its name. */
export function carriesNothing({ method }: RequestType0<unknown, unknown> | NotificationType0): Entry {
  return [method, z.undefined()];
}

/** Connections count their requests. */
const id = z.int().check(z.nonnegative());
const jsonrpc = z.literal('2.0');

const asked = z.strictObject({ jsonrpc, id: z.optional(id), method: z.string(), params: z.optional(z.unknown()) });
const answered = z.strictObject({
  jsonrpc,
  id,
  result: z.optional(z.unknown()),
  error: z.optional(z.strictObject({ code: z.int(), message: z.string(), data: z.optional(z.unknown()) })),
});

/** JSON-RPC's own, which every sender may send. */
const cancelRequest: Entry = ['$/cancelRequest', z.strictObject({ id })];

/** A message that may go on, or a sentence on why not, with the answer where one is waited for. */
export type Verdict =
  | { readonly message: Message }
  | { readonly message?: never; readonly reason: string; readonly refusal: ResponseMessage | undefined };

/** Holds a message against a contract. Whatever the value, nothing is thrown. */
export function examine(value: unknown, { sender, messages, answers }: Contract): Verdict {
  const refuse = (what: string, id: number | undefined): Verdict => {
    const reason = `${sender} sent a message that is not allowed, and it is ignored: ${what}.`;
    if (id === undefined) return { reason, refusal: undefined };
    const data: ErrorData = { code: 'bad-message' };
    return {
      reason,
      refusal: { jsonrpc: '2.0', id, error: { code: ErrorCodes.InvalidParams, message: reason, data } },
    };
  };
  const call = asked.safeParse(value);
  if (!call.success) {
    if (answers) {
      const answer = answered.safeParse(value);
      if (answer.success) return { message: value as ResponseMessage };
    }
    return refuse('it is no message of JSON-RPC', requestIdOf(value));
  }
  const { method, params, id } = call.data;
  const schema = method === cancelRequest[0] ? cancelRequest[1] : messages.get(method);
  if (schema === undefined) return refuse('there is none of its name', id);
  const parsed = schema.safeParse(params);
  if (!parsed.success) return refuse(`${method}: ${problemOf(parsed.error)}`, id);
  return { message: { ...call.data, params: parsed.data } as Message };
}

/** The first problem, in words of the schema alone: no text of the sender is among them. */
export function problemOf({ issues: [issue] }: z.core.$ZodError): string {
  if (issue === undefined) return 'it is invalid';
  const { code, path, message } = issue;
  const reason = code === 'unrecognized_keys' ? 'it has keys that are not known' : message.replace(/\.$/, '');
  return path.length === 0 ? reason : `${path.join('.')}: ${reason}`;
}

function requestIdOf(value: unknown): number | undefined {
  const request = z.object({ id, method: z.unknown() }).safeParse(value);
  return request.success ? request.data.id : undefined;
}

/** Reads what a contract allows. */
export class CheckedReader implements MessageReader {
  readonly onError: MessageReader['onError'];
  readonly onClose: MessageReader['onClose'];
  readonly onPartialMessage: MessageReader['onPartialMessage'];

  /** @param refuse is told of every other message. */
  constructor(
    private readonly reader: MessageReader,
    private readonly contract: Contract,
    private readonly refuse: (reason: string, refusal: ResponseMessage | undefined) => void,
  ) {
    this.onError = reader.onError;
    this.onClose = reader.onClose;
    this.onPartialMessage = reader.onPartialMessage;
  }

  listen(callback: DataCallback): Disposable {
    return this.reader.listen((received) => {
      const verdict = examine(received, this.contract);
      if (verdict.message === undefined) this.refuse(verdict.reason, verdict.refusal);
      else callback(verdict.message);
    });
  }

  dispose(): void {
    this.reader.dispose();
  }
}
